"""Following transactions until the chain has told their fate, and until no reorganisation changes it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ogpu.errors import JournalError, NetworkError, RPCFailed, WrongChain
from ogpu.rpc.reverts import Revert
from ogpu.rpc.transport import Request, mapping, quantity, raised
from ogpu.tx.boundaries import Boundary
from ogpu.tx.context import Context
from ogpu.tx.evidence import Evidence, asks_receipt, by_hash
from ogpu.tx.flight import Flight, block_of, receipt_outcome, recovered, spent, undetermined
from ogpu.tx.journal import NOBODY, TOLD, Attempt, Intent, Kind, Outcome, State, is_gone, this_owner
from ogpu.tx.mending import Mending, Resigner
from ogpu.tx.state import Receipt, parse_receipt

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

FIRST_POLL, LAST_POLL, IDLE_POLL, POLL_GROWTH = 0.01, 1.0, 5.0, 1.5  # seconds
VERIFY_PAUSE = 1.0  # seconds between two looks at the blocks of what is mined
EAGER = 8  # so few are asked for at once; of many, only those that the account's count has passed
UNSEEN_OWNER = 300.0  # seconds after which an intent of a process on another host is looked after by others


class Follower:
    """Looks at the chain for all intents that are on their way, in one loop."""

    def __init__(self, context: Context, resigner: Callable[[str], Resigner]) -> None:
        self._context = context
        self._flights: dict[str, Flight] = {}
        self._running = False
        self._wake = asyncio.Event()
        self._evidence = Evidence(context.rpc)
        self._mending = Mending(context, self, self._evidence, resigner)
        self._head = ""  # the hash of the latest block that was looked at
        self._verified_head, self._verified_at = "", 0.0

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
        return [intent for intent in await self.unsettled(sender) if intent.state is State.PENDING]

    async def unsettled(self, sender: str | None) -> list[Intent]:
        """Intents in the journal whose fate is open, or may be again after a reorganisation."""
        return await self._context.journal.unsettled(await self._context.chain(), sender)

    async def take_up(self, sender: str | None = None, *, everything: bool = False) -> list[Intent]:
        """Follow what the journal has unsettled and no living process looks after; all that is unsettled."""
        unsettled = await self.unsettled(sender)
        for intent in unsettled:
            if intent.key not in self._flights and (everything or _abandoned(intent, time.time())):
                self.follow(recovered(intent, self._context.now()))
        return unsettled

    async def check_mined(self) -> None:
        """Look now whether what is mined is still on the chain; what is not is pending again."""
        head = mapping(await self._context.rpc.call("eth_getBlockByNumber", "latest", False))
        self._verified_head, self._verified_at = "", 0.0
        await self._verify(list(self._flights.values()), quantity(head.get("number")), str(head.get("hash")))

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
        requests += [asks_receipt(attempt) for flight in eager for attempt in flight.intent.attempts]
        answers = await self._context.rpc.batch(requests)
        head = mapping(raised(answers[0]))
        counts = answers[1 : 1 + len(senders)]
        mined = {sender: quantity(raised(n)) for sender, n in zip(senders, counts, strict=True)}
        self._evidence.note_block(head)
        receipts = by_hash(answers[1 + len(senders) :])
        if not eager:
            passed = [f for f in pending if f.intent.nonce < mined[f.intent.sender] or len(f.attempts) > 1]
            receipts = await self._evidence.receipts(passed)
        number, moved = quantity(head.get("number")), False
        if receipts:
            moved = await self._settle(pending, receipts, number)
        head_hash = str(head.get("hash"))
        await self._mending.deal_with(pending, mined, receipts, new_block=self._head not in ("", head_hash))
        self._head = head_hash
        await self._mending.take_up_before(pending, mined)
        await self._verify(flights, number, head_hash)
        return moved

    async def _settle(
        self, pending: Sequence[Flight], receipts: dict[str, dict[str, Any]], head: int
    ) -> bool:
        """Store what receipts show, and tell whoever waits."""
        policy = self._context.policy
        found: list[tuple[Flight, Attempt, Receipt]] = []
        times = await self._evidence.times(receipts.values())
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
        reasons = await self._evidence.reasons(
            [(f, r) for f, a, r in found if not r.succeeded and a.kind is Kind.CALL]
        )
        outcomes = []
        for flight, attempt, receipt in found:
            if attempt.nonce != flight.intent.nonce:  # one at an earlier nonce won after all
                flight.intent = replace(flight.intent, nonce=attempt.nonce)
            final = head - receipt.block_number >= policy.finality
            owner = TOLD if flight.waiters else None
            revert = reasons.get(receipt.hash, Revert())
            outcomes.append(
                (flight, receipt_outcome(flight.intent, attempt, receipt, revert, final=final, owner=owner))
            )
        await self.store(outcomes)
        return True

    async def store(self, outcomes: Sequence[tuple[Flight, Outcome]]) -> None:
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

    async def _verify(self, flights: Sequence[Flight], head: int, head_hash: str) -> None:
        """Whether the blocks of settled intents are still on the chain; deep ones are final."""
        now = self._context.now()
        mined = [(f, block) for f in flights if not f.pending and (block := block_of(f.intent))]
        if not mined or head_hash == self._verified_head or now - self._verified_at < VERIFY_PAUSE:
            return
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
        if len(hashes) == len(numbers):
            self._verified_head = head_hash
        await self._confirm(mined, hashes, head)

    async def _confirm(
        self, mined: Sequence[tuple[Flight, tuple[int, str]]], hashes: dict[int, str], head: int
    ) -> None:
        outcomes: list[Outcome] = []
        for flight, (number, block_hash) in mined:
            intent = flight.intent
            if number not in hashes or block_of(intent) != (number, block_hash):
                continue
            if hashes[number] != block_hash:
                logger.warning("%s: block %d was dropped by a reorganisation", intent.key, number)
                outcome = Outcome(intent.key, State.PENDING, False, None)
                flight.learn(outcome)
                flight.moved_at = flight.resend_at = self._context.now()
                outcomes.append(outcome)
            elif head - number >= self._context.policy.finality:
                lost = intent.nonce if intent.state is State.FOREIGN else None
                outcome = Outcome(intent.key, intent.state, True, intent.outcome, nonce=lost)
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


def _abandoned(intent: Intent, now: float) -> bool:
    """Whether no living process looks after an intent, as far as can be told from here."""
    if intent.owner in (NOBODY, TOLD) or is_gone(intent.owner):
        return True
    return now - intent.created > UNSEEN_OWNER and not _is_here(intent.owner)


def _is_here(owner: str) -> bool:
    return owner.partition("|")[0] == this_owner().partition("|")[0]
