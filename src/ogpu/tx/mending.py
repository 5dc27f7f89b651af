"""What to do about transactions that do not move: send again, offer more, find out who took a nonce."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ogpu.errors import NetworkError
from ogpu.tx.context import Context
from ogpu.tx.evidence import Evidence
from ogpu.tx.flight import Flight, recovered, spent
from ogpu.tx.journal import TOLD, Intent, Kind, Outcome, State
from ogpu.tx.replies import Reply, verdict

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

logger = logging.getLogger(__name__)

EVIDENCE_PAUSE = 1.0  # seconds in which a receipt may be late; then whoever took the nonce is looked for
SEARCHES_AT_ONCE = 4  # each asks for as many counts as the history has bits
RESENT_AT_ONCE = 100
HELD_UP = 15.0  # seconds without progress after which what stands before ours is sent from here too


class Resigner(Protocol):
    """What signs further transactions for an account's intents."""

    signer: Signer | None

    async def bump(self, flight: Flight) -> bool: ...

    async def renonce(self, flight: Flight) -> None: ...


class Following(Protocol):
    """What follows intents, as far as mending needs it."""

    def follow(self, flight: Flight) -> None: ...

    def get(self, key: str) -> Flight | None: ...

    def hurry(self) -> None: ...

    async def unsettled(self, sender: str | None) -> list[Intent]: ...

    async def store(self, outcomes: Sequence[tuple[Flight, Outcome]]) -> None: ...


class Mending:
    """Looks after what is pending, for one follower."""

    def __init__(
        self,
        context: Context,
        following: Following,
        evidence: Evidence,
        resigner: Callable[[str], Resigner],
    ) -> None:
        self._context = context
        self._following = following
        self._evidence = evidence
        self._resigner = resigner
        self._mending: set[str] = set()
        self._counts: dict[str, tuple[int, float]] = {}  # by sender, and since when

    async def deal_with(
        self,
        pending: Sequence[Flight],
        mined: dict[str, int],
        receipts: Mapping[str, object],
        *,
        new_block: bool,
    ) -> None:
        """Send again, offer more, and look for whoever took a nonce."""
        now = self._context.now()
        resent: list[Flight] = []
        passed: list[Flight] = []
        for flight in pending:
            if not flight.pending or flight.judged or flight.key in self._mending:
                continue
            nonce, count = flight.intent.nonce, mined[flight.intent.sender]
            if nonce < count:
                passed.append(flight)
                continue
            flight.passed_at = None
            if nonce > count:
                flight.moved_at = now  # those before it come first
            elif now - flight.moved_at >= self._context.policy.stuck_after:
                flight.moved_at = now
                self._mend(flight, self._bump(flight))
                continue
            passed_over = nonce == count and new_block and flight.offered
            if len(resent) < RESENT_AT_ONCE and (now >= flight.resend_at or passed_over):
                resent.append(flight)
        if resent:
            await self._resend(resent)
        await self._look_for_takers([flight for flight in passed if self._is_late(flight, receipts)])

    async def take_up_before(self, pending: Sequence[Flight], mined: dict[str, int]) -> None:
        """Follow what holds ours up, whoever answers for it: that may stand still, or be gone."""
        now = self._context.now()
        for sender, count in mined.items():
            before, since = self._counts.get(sender, (None, now))
            if before != count:
                self._counts[sender] = (count, now)
                continue
            ours = [f.intent.nonce for f in pending if f.pending and f.intent.sender == sender]
            if now - since < HELD_UP or min(ours, default=count) <= count:
                continue
            self._counts[sender] = (count, now)
            for intent in await self._following.unsettled(sender):
                if count <= intent.nonce < min(ours) and not self._following.get(intent.key):
                    logger.info("nonce %d of %s holds others up, and is looked at", intent.nonce, sender)
                    self._following.follow(recovered(intent, now))

    async def _resend(self, flights: Sequence[Flight]) -> None:
        """The same bytes again. Refusals prove nothing, as an earlier send may have placed them."""
        offers = [(flight, attempt) for flight in flights for attempt in flight.sendable]
        for flight in flights:
            flight.resending = True
        try:
            answers = await self._context.rpc.broadcast([attempt.raw for _, attempt in offers])
        finally:
            for flight in flights:
                flight.resending = False
        now = self._context.now()
        best: dict[str, tuple[Reply, str]] = {}
        for (flight, _), given in zip(offers, answers, strict=True):
            reply, said = verdict(given)
            if flight.key not in best or reply is Reply.ACCEPTED:
                best[flight.key] = reply, said
        for flight in flights:
            reply, said = best[flight.key]
            flight.heard(reply, said, now)
            if reply is Reply.UNDERPRICED:
                self._mend(flight, self._bump(flight))

    def _mend(self, flight: Flight, work: Coroutine[Any, Any, None]) -> None:
        """Sign something new for an intent, beside the loop."""
        if flight.key in self._mending:
            work.close()
            return
        self._mending.add(flight.key)
        self._context.spawn(self._mended(flight, work), f"mending {flight.key}")

    async def _mended(self, flight: Flight, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._mending.discard(flight.key)
            self._following.hurry()

    async def _bump(self, flight: Flight) -> None:
        lane = self._resigner(flight.intent.sender)
        lane.signer = lane.signer or self._context.signer_of(flight.intent.sender)
        if lane.signer is None:
            logger.info("%s does not move, and its key is not at hand to offer more", flight.key)
            return
        await lane.bump(flight)

    def _is_late(self, flight: Flight, receipts: Mapping[str, object]) -> bool:
        """Whether its nonce is used, and its receipt is not there for longer than nodes take to index."""
        now = self._context.now()
        if any(attempt.hash in receipts for attempt in flight.intent.attempts):
            flight.passed_at = None  # it waits for confirmations
        elif flight.passed_at is None:
            flight.passed_at = now
        elif now - flight.passed_at >= EVIDENCE_PAUSE:
            flight.passed_at = now
            return True
        return False

    async def _look_for_takers(self, flights: Sequence[Flight]) -> None:
        """The accounts' counts have passed these nonces, and receipts are missing: who has the nonces?

        A missing receipt shows nothing, since replicas lag and index late.
        """
        found: dict[tuple[str, int], dict[str, Any]] = {}
        searches = 0
        for flight in flights:
            place = (flight.intent.sender.lower(), flight.intent.nonce)
            if place not in found and searches < SEARCHES_AT_ONCE:
                searches += 1
                try:
                    found.update(await self._evidence.takers(flight.intent))
                except NetworkError as error:
                    logger.info("who took nonce %d cannot be shown: %s", flight.intent.nonce, error)
            if place in found:
                await self._taken(flight, found[place])

    async def _taken(self, flight: Flight, found: dict[str, Any]) -> None:
        """What to do about a nonce that a mined transaction has, when that is none of ours."""
        if _is_ours(flight.intent, found["hash"]):
            return
        fresh = await self._context.journal.find(flight.key)  # another program may have mended it
        if fresh is not None and fresh != flight.intent:
            flight.become(fresh)
            if not flight.pending:
                self._context.budget.settle(flight.key, spent(fresh))
            if flight.waiters and not flight.pending:
                await self._context.journal.take_over([flight.key], TOLD)
            return
        intent = flight.intent
        logger.info("nonce %d of %s went to %s", intent.nonce, intent.sender, found["hash"])
        nonces = {attempt.nonce for attempt in intent.attempts if attempt.kind is Kind.CALL}
        again = (
            not intent.named
            and not flight.options.strict
            and not flight.mending
            and self._resigner(intent.sender).signer is not None
            and flight.attempts[-1].kind is Kind.CALL
            and len(nonces) < flight.options.max_retries
        )
        if again:
            self._mend(flight, self._resigner(intent.sender).renonce(flight))
            return
        owner = TOLD if flight.waiters else None
        outcome = Outcome(intent.key, State.FOREIGN, False, {"foreign": found}, owner, intent.nonce)
        await self._following.store([(flight, outcome)])


def _is_ours(intent: Intent, tx_hash: str) -> bool:
    return any(attempt.hash == tx_hash for attempt in intent.attempts)
