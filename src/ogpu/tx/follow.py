"""Following transactions until the chain has told their fate, and until no reorganisation changes it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ogpu.errors import JournalError, NetworkError, RPCFailed, WrongChain
from ogpu.rpc.codec import decode_revert
from ogpu.rpc.transport import Request, mapping, quantity, raised
from ogpu.tx.boundaries import Boundary
from ogpu.tx.context import Context
from ogpu.tx.flight import Flight, block_of, receipt_outcome, recovered, spent, undetermined
from ogpu.tx.journal import NOBODY, TOLD, Attempt, Intent, Kind, Outcome, State, is_gone, this_owner
from ogpu.tx.replies import Reply, verdict
from ogpu.tx.state import Receipt, parse_receipt

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

logger = logging.getLogger(__name__)

FIRST_POLL, LAST_POLL, IDLE_POLL, POLL_GROWTH = 0.01, 1.0, 5.0, 1.5  # seconds
EVIDENCE_PAUSE = 1.0  # seconds in which a receipt may be late; then whoever took the nonce is looked for
SEARCHES_AT_ONCE = 4  # each asks for as many counts as the history has bits
VERIFY_PAUSE = 1.0  # seconds between two looks at the blocks of what is mined
EAGER = 8  # so few are asked for at once; of many, only those that the account's count has passed
RESENT_AT_ONCE = 100
HELD_UP = 15.0  # seconds without progress after which what stands before ours is sent from here too
UNSEEN_OWNER = 300.0  # seconds after which an intent of a process on another host is looked after by others


class Mender(Protocol):
    """What signs further transactions for an account's intents."""

    signer: Signer | None

    async def bump(self, flight: Flight) -> bool: ...

    async def renonce(self, flight: Flight) -> None: ...


class Follower:
    """Looks at the chain for all intents that are on their way, in one loop."""

    def __init__(self, context: Context, mender: Callable[[str], Mender]) -> None:
        self._context = context
        self._mender = mender
        self._flights: dict[str, Flight] = {}
        self._running = False
        self._wake = asyncio.Event()
        self._mending: set[str] = set()
        self._block_times: dict[str, int] = {}
        self._head = ""  # the hash of the latest block that was looked at
        self._verified_head, self._verified_at = "", 0.0
        self._counts: dict[str, tuple[int, float]] = {}  # by sender, and since when

    # --- what is followed

    def follow(self, flight: Flight) -> None:
        """Look after an intent from now on."""
        self._flights[flight.key] = flight
        self._wake.set()
        if not self._running:
            self._running = True
            self._context.spawn(self._run(), "following transactions")

    def hurry(self) -> None:
        """Look at the chain now: something was sent."""
        self._wake.set()

    def drop(self, flight: Flight) -> None:
        """Look after it no more: it is over."""
        self._flights.pop(flight.key, None)

    def get(self, key: str) -> Flight | None:
        """The flight of an intent that is followed here."""
        return self._flights.get(key)

    def pending_of(self, sender: str) -> list[Flight]:
        """The account's intents whose fate is open, as far as this client follows them."""
        return [f for f in self._flights.values() if f.intent.sender == sender and f.pending]

    def waited_for(self) -> list[Flight]:
        """What somebody waits for through this client."""
        return [flight for flight in self._flights.values() if flight.waiters]

    def untold(self) -> list[Flight]:
        """That, and what somebody has waited for and was not told."""
        return [flight for flight in self._flights.values() if flight.waiters or flight.left]

    async def open_intents(self, sender: str) -> list[Intent]:
        """The account's intents in the journal whose fate is open."""
        unsettled = await self._context.journal.unsettled(await self._context.chain(), sender)
        return [intent for intent in unsettled if intent.state is State.PENDING]

    async def take_up(self, sender: str | None = None, *, everything: bool = False) -> list[Intent]:
        """Follow what the journal has unsettled and no living process looks after; all that is pending."""
        unsettled = await self._context.journal.unsettled(await self._context.chain(), sender)
        for intent in unsettled:
            if intent.key not in self._flights and (everything or _abandoned(intent, time.time())):
                self.follow(recovered(intent, self._context.now()))
        return [intent for intent in unsettled if intent.state is State.PENDING]

    async def leave(self, flight: Flight) -> None:
        """Nobody waits for it any more: whoever makes the same call again may take it up."""
        flight.left = True
        await self._context.journal.take_over([flight.key], NOBODY)

    # --- the loop

    async def _run(self) -> None:
        pause = FIRST_POLL
        try:
            while self._flights:
                self._wake.clear()
                moved = False
                try:
                    moved = await self._look()
                except WrongChain as error:
                    self._tell_open(error)
                except (NetworkError, JournalError) as error:
                    logger.info("no news of transactions: %s", error)
                pending = any(flight.pending for flight in self._flights.values())
                pause = FIRST_POLL if moved else min(pause * POLL_GROWTH, LAST_POLL if pending else IDLE_POLL)
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                        pause = FIRST_POLL
                except TimeoutError:
                    pass
        except BaseException as error:
            for flight in self._flights.values():
                if not flight.settled.done() and isinstance(error, Exception):
                    flight.settled.set_exception(error)
            raise
        finally:
            self._running = False

    async def _look(self) -> bool:
        """One look at the chain; whether any intent was settled by it."""
        flights = list(self._flights.values())
        pending = [flight for flight in flights if flight.pending]
        senders = sorted({flight.intent.sender for flight in pending})
        eager = pending if len(pending) <= EAGER else []
        requests: list[Request] = [("eth_getBlockByNumber", ["latest", False])]
        requests += [("eth_getTransactionCount", [sender, "latest"]) for sender in senders]
        requests += [_asks_receipt(attempt) for flight in eager for attempt in flight.intent.attempts]
        answers = await self._context.rpc.batch(requests)
        head = mapping(raised(answers[0]))
        counts = answers[1 : 1 + len(senders)]
        mined = {sender: quantity(raised(n)) for sender, n in zip(senders, counts, strict=True)}
        self._note_block(head)
        receipts = _by_hash(answers[1 + len(senders) :])
        if not eager:
            passed = [f for f in pending if f.intent.nonce < mined[f.intent.sender] or len(f.attempts) > 1]
            receipts = await self._receipts(passed)
        number, moved = quantity(head.get("number")), False
        if receipts:
            moved = await self._settle(pending, receipts, number)
        head_hash = str(head.get("hash"))
        await self._deal_with(pending, mined, receipts, new_block=self._head not in ("", head_hash))
        self._head = head_hash
        await self._take_up_before(pending, mined)
        await self._verify(flights, number, head_hash)
        return moved

    async def _receipts(self, flights: Sequence[Flight]) -> dict[str, dict[str, Any]]:
        asked = [_asks_receipt(attempt) for flight in flights for attempt in flight.intent.attempts]
        return _by_hash(await self._context.rpc.batch(asked)) if asked else {}

    async def _settle(
        self, pending: Sequence[Flight], receipts: dict[str, dict[str, Any]], head: int
    ) -> bool:
        """Store what receipts show, and tell whoever waits."""
        policy = self._context.policy
        found: list[tuple[Flight, Attempt, Receipt]] = []
        times = await self._times(receipts.values())
        for flight in pending:
            for attempt in flight.intent.attempts:
                answer = receipts.get(attempt.hash)
                if answer is None or str(answer.get("blockHash")).lower() not in times:
                    continue
                receipt = parse_receipt(answer, times[str(answer["blockHash"]).lower()])
                if head - receipt.block_number + 1 >= policy.confirmations:
                    found.append((flight, attempt, receipt))
        if not found:
            return False
        self._context.at(Boundary.RECEIPT_SEEN)
        reasons = await self._reasons(
            [(f, r) for f, a, r in found if not r.succeeded and a.kind is Kind.CALL]
        )
        outcomes = []
        for flight, attempt, receipt in found:
            if attempt.nonce != flight.intent.nonce:  # one at an earlier nonce won after all
                flight.intent = replace(flight.intent, nonce=attempt.nonce)
            final = head - receipt.block_number >= policy.finality
            owner = TOLD if flight.waiters else None
            reason = reasons.get(receipt.hash, "")
            outcomes.append(
                (flight, receipt_outcome(flight.intent, attempt, receipt, reason, final=final, owner=owner))
            )
        await self._store(outcomes)
        return True

    async def _store(self, outcomes: Sequence[tuple[Flight, Outcome]]) -> None:
        """Settle intents in the journal, then here; the chain's word counts though the journal be broken."""
        try:
            await self._context.journal.settle([outcome for _, outcome in outcomes])
            self._context.at(Boundary.OUTCOME_STORED)
        except JournalError as error:
            logger.warning("What became of %d transactions is not stored: %s", len(outcomes), error)
        for flight, outcome in outcomes:
            flight.learn(outcome)
            self._context.budget.settle(flight.key, spent(flight.intent))
            if outcome.final:
                self._flights.pop(flight.key, None)

    async def _times(self, receipts: Iterable[dict[str, Any]]) -> dict[str, int]:
        """The times of the receipts' blocks, by hash; a block that is gone has none."""
        wanted = {str(receipt.get("blockHash")).lower() for receipt in receipts}
        missing = sorted(wanted - self._block_times.keys())
        if missing:
            answers = await self._context.rpc.batch(
                [("eth_getBlockByHash", [block, False]) for block in missing]
            )
            for answer in answers:
                if isinstance(answer, dict):
                    self._note_block(answer)
        return {block: self._block_times[block] for block in wanted if block in self._block_times}

    def _note_block(self, block: dict[str, Any]) -> None:
        if len(self._block_times) > 256:
            self._block_times.clear()
        self._block_times[str(block.get("hash")).lower()] = quantity(block.get("timestamp"))

    async def _reasons(self, reverted: Sequence[tuple[Flight, Receipt]]) -> dict[str, str]:
        """Why transactions reverted, by hash, as far as the node tells: the calls are made again."""
        if not reverted:
            return {}
        calls: list[Request] = []
        for flight, receipt in reverted:
            intent = flight.intent
            fields = {"from": intent.sender, "to": intent.to, "data": intent.data, "value": hex(intent.value)}
            calls.append(("eth_call", [fields, hex(receipt.block_number)]))
        try:
            answers = await self._context.rpc.batch(calls)
        except NetworkError:
            return {}  # the verdict is known; only its reason is not
        return {
            receipt.hash: decode_revert(answer.data) if isinstance(answer, RPCFailed) else ""
            for (_, receipt), answer in zip(reverted, answers, strict=True)
        }

    # --- what does not move

    async def _deal_with(
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
            if not flight.pending or flight.key in self._mending:
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

    async def _take_up_before(self, pending: Sequence[Flight], mined: dict[str, int]) -> None:
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
            for intent in await self.open_intents(sender):
                if intent.nonce < min(ours) and intent.key not in self._flights:
                    logger.info("nonce %d of %s holds others up, and is sent again", intent.nonce, sender)
                    self.follow(recovered(intent, now))

    async def _resend(self, flights: Sequence[Flight]) -> None:
        """The same bytes again. Refusals prove nothing, as an earlier send may have placed them."""
        offers = [(flight, attempt) for flight in flights for attempt in flight.sendable]
        answers = await self._context.rpc.broadcast([attempt.raw for _, attempt in offers])
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
            self._wake.set()

    async def _bump(self, flight: Flight) -> None:
        lane = self._mender(flight.intent.sender)
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
                    found.update(await self._takers(flight.intent))
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
            and self._mender(intent.sender).signer is not None
            and flight.attempts[-1].kind is Kind.CALL
            and len(nonces) < flight.options.max_retries
        )
        if again:
            self._mend(flight, self._mender(intent.sender).renonce(flight))
            return
        owner = TOLD if flight.waiters else None
        outcome = Outcome(intent.key, State.FOREIGN, False, {"foreign": found}, owner)
        await self._store([(flight, outcome)])

    async def _takers(self, intent: Intent) -> dict[tuple[str, int], dict[str, Any]]:
        """The mined transaction at the intent's nonce, and the others of its block, by sender and nonce.

        It is in the block where the account's count passed the nonce.
        """
        call = self._context.rpc.call
        low = min(attempt.first_block for attempt in intent.attempts)
        high = quantity(await call("eth_blockNumber"))
        while low < high:
            middle = (low + high) // 2
            if quantity(await call("eth_getTransactionCount", intent.sender, hex(middle))) > intent.nonce:
                high = middle
            else:
                low = middle + 1
        block = mapping(await call("eth_getBlockByNumber", hex(low), True))
        found = {}
        for transaction in map(mapping, block.get("transactions", ())):
            place = (str(transaction.get("from", "")).lower(), quantity(transaction.get("nonce")))
            found[place] = {
                "hash": str(transaction.get("hash")).lower(),
                "block_number": low,
                "block_hash": str(block.get("hash")).lower(),
            }
        return found

    # --- what is mined

    async def _verify(self, flights: Sequence[Flight], head: int, head_hash: str) -> None:
        """Whether the blocks of settled intents are still on the chain; deep ones are final."""
        now = self._context.now()
        mined = [(f, block) for f in flights if not f.pending and (block := block_of(f.intent))]
        if not mined or head_hash == self._verified_head or now - self._verified_at < VERIFY_PAUSE:
            return
        self._verified_head = head_hash
        self._verified_at = now
        numbers = sorted({number for _, (number, _) in mined})
        answers = await self._context.rpc.batch(
            [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        )
        hashes = {
            number: str(answer.get("hash")).lower() if isinstance(answer, dict) else ""
            for number, answer in zip(numbers, answers, strict=True)
            if not isinstance(answer, RPCFailed)
        }
        await self._confirm(mined, hashes, head)

    async def _confirm(
        self, mined: Sequence[tuple[Flight, tuple[int, str]]], hashes: dict[int, str], head: int
    ) -> None:
        outcomes: list[Outcome] = []
        for flight, (number, block_hash) in mined:
            intent = flight.intent
            if number not in hashes:
                continue
            if hashes[number] != block_hash:
                logger.warning("%s: block %d was dropped by a reorganisation", intent.key, number)
                outcome = Outcome(intent.key, State.PENDING, False, None)
                flight.learn(outcome)
                flight.moved_at = flight.resend_at = self._context.now()
                outcomes.append(outcome)
            elif head - number >= self._context.policy.finality:
                outcome = Outcome(intent.key, intent.state, True, intent.outcome)
                flight.learn(outcome)
                outcomes.append(outcome)
                self._flights.pop(intent.key, None)
        if outcomes:
            self._wake.set()
            await self._context.journal.settle(outcomes)

    def _tell_open(self, error: WrongChain) -> None:
        """No node of this chain is left to ask: whoever waits is told that the fate is open."""
        for flight in self._flights.values():
            if flight.pending and not flight.settled.done():
                told = undetermined(flight.intent, error.message, 0)
                told.__cause__ = error
                flight.settled.set_exception(told)
                flight.settled.exception()  # nobody may wait
        self._flights.clear()


def _asks_receipt(attempt: Attempt) -> Request:
    return ("eth_getTransactionReceipt", [attempt.hash])


def _by_hash(answers: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Receipts by their transaction's hash; what is none is left out."""
    found = [answer for answer in answers if isinstance(answer, dict) and answer.get("blockHash")]
    return {str(answer.get("transactionHash")).lower(): answer for answer in found}


def _is_ours(intent: Intent, tx_hash: str) -> bool:
    return any(attempt.hash == tx_hash for attempt in intent.attempts)


def _abandoned(intent: Intent, now: float) -> bool:
    """Whether no living process looks after an intent, as far as can be told from here."""
    if intent.owner in (NOBODY, TOLD) or is_gone(intent.owner):
        return True
    return now - intent.created > UNSEEN_OWNER and not _is_here(intent.owner)


def _is_here(owner: str) -> bool:
    return owner.partition("|")[0] == this_owner().partition("|")[0]
