"""The transaction engine: a call is stored before it is sent, executed once, and told about truthfully.

It rests on one rule: a second transaction for the same call is signed only at the same nonce, where the chain
takes one of the two, or when the chain shows that the first can never be mined, since another has its nonce.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ogpu.errors import (
    ClientClosed,
    DryRun,
    IdempotencyConflict,
    IntentUnknown,
    InvalidInput,
    JournalError,
    NetworkError,
    OGPUError,
    TransactionUndetermined,
)
from ogpu.rpc.transport import RPC
from ogpu.text import shown
from ogpu.tx.boundaries import Boundary
from ogpu.tx.context import Context
from ogpu.tx.fees import Fees
from ogpu.tx.flight import Flight, recovered, result_of, undetermined
from ogpu.tx.follow import Follower
from ogpu.tx.journal import NOBODY, TOLD, Intent, Journal, KeyTaken, State, is_gone
from ogpu.tx.lane import Lane
from ogpu.tx.orders import Order, over_cap
from ogpu.tx.quote import NOTHING, check_cost, check_funds, not_sent, quote
from ogpu.tx.state import Call, Cost, Policy, Receipt, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

logger = logging.getLogger(__name__)


class TransactionManager:
    """Sends transactions for any account; owned by one client, used on one event loop."""

    def __init__(self, rpc: RPC, chain_id: int, journal: Journal, policy: Policy) -> None:
        self.context = Context(rpc, chain_id, journal, policy)
        self.follower = Follower(self.context, self.lane)
        self._lanes: dict[str, Lane] = {}
        self._adopted: set[str] = set()
        self._closed = False

    def open(self) -> None:
        """Go on with what earlier programs have left behind, beside whatever is asked for."""
        if self.context.journal.exists and not self.policy.dry_run:
            self.context.spawn(self._recover_quietly(), "recovering transactions")

    async def close(self) -> None:
        """Stop; what is on its way stays in the journal, and is free for whoever asks for it again."""
        self._closed = True
        untold = [flight.key for flight in self.follower.untold()]
        await self.context.close()
        try:
            if untold:
                await self.context.journal.take_over(untold, NOBODY)
        except JournalError as error:
            logger.warning("%d transactions stay marked as waited for: %s", len(untold), error)
        await self.context.journal.close()

    def lane(self, sender: str) -> Lane:
        """The lane of an account."""
        if sender not in self._lanes:
            self._lanes[sender] = Lane(self.context, self.follower, sender)
        return self._lanes[sender]

    def at(self, boundary: Boundary) -> None:
        """Note where the work stands."""
        self.context.at(boundary)

    # --- sending

    async def send(self, call: Call, signer: Signer, options: SendOptions | None = None) -> Receipt:
        """Send a call and wait until it is mined; a revert raises `ContractReverted`.

        The result of a call that is known by its key, or that was left open before, is that call's.
        """
        options = options or SendOptions()
        if receipt := await self.resume(call, signer, options):
            return receipt
        return await self.send_new(call, signer, options)

    async def send_new(
        self, call: Call, signer: Signer, options: SendOptions, gas: int | None = None
    ) -> Receipt:
        """Send a call that `resume` did not know; `gas` is the limit when it was estimated before."""
        self._check_open()
        if self.policy.dry_run:
            raise not_sent(call, signer.address, await self.estimate(call, signer.address))
        while True:
            order = Order(options.key or secrets.token_hex(16), call, signer, options, gas)
            try:
                flight = await self.lane(signer.address).submit(order)
            except KeyTaken:  # another program has stored it meanwhile
                if receipt := await self.resume(call, signer, options):
                    return receipt
                continue
            return await self._result(flight)

    async def resume(self, call: Call, signer: Signer, options: SendOptions) -> Receipt | None:
        """The receipt of such a call, when it was asked for before; None when it is new."""
        self._check_open()
        if not self.context.journal.exists:
            return None
        if self.policy.dry_run:
            await self._rehearse_again(call, signer.address, options)
            return None
        sender = signer.address
        lane = self.lane(sender)
        lane.signer = lane.signer or signer
        if options.key is None:
            intent = await self._left_behind(call, sender, options)
        else:
            intent = await self._by_key(call, sender, options.key)
        if intent is None:
            return None
        logger.info("%s goes on with %s", call.label, intent.attempts[-1].hash)
        flight = self._flight_of(intent)
        flight.waiters += 1
        flight.left = False
        receipt = await self._result(flight)
        if options.key is None:
            await self._note_told(intent.key)
        return receipt

    async def knows(self, key: str) -> bool:
        """Whether the journal has a call by that key, which is on its way or settled."""
        if not self.context.journal.exists:
            return False
        intent = await self.context.journal.find(key)
        return intent is not None and intent.state is not State.REFUSED

    async def _rehearse_again(self, call: Call, sender: str, options: SendOptions) -> None:
        """Raise `DryRun` for a call that was asked for before by its key, without going on with it."""
        if options.key is not None and (intent := await self._by_key(call, sender, options.key)):
            raise not_sent(call, sender, NOTHING, intent)

    async def _by_key(self, call: Call, sender: str, key: str) -> Intent | None:
        """The intent of an idempotency key, if it stands for this call."""
        intent = await self.context.journal.find(key)
        if intent is None or intent.state is State.REFUSED:
            return None
        chain = await self.context.chain()
        if intent.content == call.content(chain, sender):
            return intent
        different = [
            name
            for name, now, then in (
                ("chain", chain, intent.chain),
                ("account", sender, intent.sender),
                ("call", call.label, intent.label),
            )
            if now != then
        ]
        raise IdempotencyConflict(
            f"The idempotency key {key!r} stands for another call: {intent.label} of {intent.sender}, from "
            f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(intent.created))} UTC, with another "
            f"{' and '.join(different) or 'content'}.",
            hint="Nothing was sent. Use a key for one thing only.",
            facts={"key": key, "label": intent.label, "created": intent.created},
        )

    async def _left_behind(self, call: Call, sender: str, options: SendOptions) -> Intent | None:
        """The oldest call of the same content of which nobody was told what became of it."""
        chain = await self.context.chain()
        for intent in await self.context.journal.open_like(chain, sender, call.content(chain, sender)):
            if options.nonce not in (None, intent.nonce) or intent.key in self._adopted:
                continue
            if intent.expires is not None and intent.expires <= time.time():
                continue  # mined or not, it is not what is asked for now
            flight = self.follower.get(intent.key)
            if flight is not None and flight.waiters:
                continue
            left = intent.key in self.context.doubtful or (flight is not None and flight.left)
            abandoned = left or intent.owner == NOBODY or is_gone(intent.owner)
            if abandoned and await self._adopt(intent):
                return intent
        return None

    async def _adopt(self, intent: Intent) -> bool:
        """Make this client's caller the one who is told, unless another program's was quicker."""
        journal, me = self.context.journal, self.context.lessee
        self._adopted.add(intent.key)
        adopted = False
        try:
            adopted = await journal.adopt(intent.key, intent.owner, me)
        except BaseException:  # it may be written all the same
            if not self._closed:
                self.context.spawn(journal.adopt(intent.key, me, NOBODY), f"leaving {intent.key}")
            raise
        finally:
            if not adopted:
                self._adopted.discard(intent.key)
        return adopted

    async def _note_told(self, key: str) -> None:
        """Store that the caller has the result, so that nobody else gets it for a call of his own."""
        try:
            await self.context.journal.take_over([key], TOLD)
        except JournalError as error:
            logger.warning("%s stays marked as waited for: %s", key, error)

    def _flight_of(self, intent: Intent) -> Flight:
        """The flight of a stored intent, which is followed from now on unless it is final."""
        flight = self.follower.get(intent.key)
        if flight is None:
            flight = recovered(intent, self.context.now())
            if not intent.final:
                self.follower.follow(flight)
        return flight

    async def _result(self, flight: Flight) -> Receipt:
        """Wait until the chain has told; the caller counts among the flight's waiters already."""
        timeout = self.context.policy.receipt_timeout
        try:
            async with asyncio.timeout(timeout):
                await flight.until_settled()
        except TimeoutError:
            self._leave(flight)
            await self.follower.leave(flight)
            raise undetermined(flight.intent, flight.node_said, timeout) from None
        except TransactionUndetermined:  # told by the follower, which has no node left to ask
            self._leave(flight)
            await self.follower.leave(flight)
            raise
        except BaseException:
            self._leave(flight)
            if not self._closed:
                self.context.spawn(self.follower.leave(flight), f"leaving {flight.key}")
            raise
        flight.waiters -= 1
        if flight.refusal is not None and flight.intent.state is State.CANCELED:
            raise flight.refusal
        return result_of(flight.intent)

    def _leave(self, flight: Flight) -> None:
        flight.waiters -= 1
        flight.left = True
        self._adopted.discard(flight.key)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("The client is closed.")

    # --- looking ahead

    async def gas_of(self, call: Call, sender: str) -> int:
        """The gas limit of a call; raises what sending it would raise now."""
        gas, _ = await self._priced(call, sender)
        return gas

    async def estimate(self, call: Call, sender: str) -> Cost:
        """What a call would cost at most, now."""
        gas, fees = await self._priced(call, sender)
        return Cost(gas, fees.max_fee, fees.priority_fee, gas * fees.max_fee, call.payment + call.value)

    async def _priced(self, call: Call, sender: str) -> tuple[int, Fees]:
        quoted = await quote(self.context.rpc, sender, self.context.policy, [call])
        (gas,) = quoted.gas
        if isinstance(gas, OGPUError):
            raise gas
        check_cost(call, quoted.fees, gas)
        check_funds(call, sender, call.value + gas * quoted.fees.max_fee, quoted.balance)
        return gas, quoted.fees

    # --- looking after

    def check_sends(self) -> None:
        """Raise `DryRun` where mending is asked of a client that sends nothing."""
        if self.policy.dry_run:
            raise DryRun("Mending sends transactions, and the client's policy is dry_run. Nothing was sent.")

    async def intents(self, limit: int = 100, *, states: Sequence[State] | None = None) -> list[Intent]:
        """This chain's intents in the journal, newest first."""
        if not self.context.journal.exists:
            return []
        return await self.context.journal.list(await self.context.chain(), None, states, limit)

    async def intent(self, key: str) -> Intent:
        """The intent of a key, or of a transaction's hash."""
        if self.context.journal.exists and isinstance(key, str) and key.isprintable():  # as all keys are
            if found := await self.context.journal.find(key):
                return found
            for intent in await self.intents(10_000):
                if any(attempt.hash == key.lower() for attempt in intent.attempts):
                    return intent
        raise IntentUnknown(
            f"The journal {self.context.journal.name} has no transaction by the name {shown(key)}.",
            hint="`ogpu tx ls` lists what it has; OGPU_JOURNAL or journal= names another journal.",
            facts={"journal": self.context.journal.name},  # what was asked for may be a key, by mistake
        )

    async def cancel(self, key: str, signer: Signer) -> Intent:
        """Replace a transaction by an empty transfer; the intent once the chain has taken one of the two."""
        self.check_sends()
        flight = await self._own(key, signer)
        if flight.pending:
            await self.lane(signer.address).cancel(flight)
            await self._settled(flight)
        return flight.intent

    async def bump(self, key: str, signer: Signer) -> Intent:
        """Offer more for a transaction that is on its way; the intent with its new attempt."""
        self.check_sends()
        flight = await self._own(key, signer)
        if flight.pending and not await self.lane(signer.address).bump(flight):
            intent, cap = flight.intent, self.context.policy.fee_cap
            raise over_cap(intent.label, intent.nonce, flight.fees, cap)
        return flight.intent

    async def recover(self) -> list[Intent]:
        """Send again and follow all that is unsettled, whoever began it; what it was, and has become."""
        self.check_sends()
        if not self.context.journal.exists:
            return []
        found = await self.follower.take_up(everything=True)
        known = [flight for intent in found if (flight := self.follower.get(intent.key))]
        pending = {flight.key for flight in known if flight.pending}
        await self.follower.check_mined()
        flights = [flight for flight in known if flight.pending or flight.key in pending]
        await asyncio.gather(*(self._settled(flight) for flight in flights))
        return [flight.intent for flight in flights]

    async def _recover_quietly(self) -> None:
        try:
            await self.follower.take_up()
        except NetworkError as error:
            logger.info("what is unsettled is looked at later: %s", error)

    async def _own(self, key: str, signer: Signer) -> Flight:
        """The flight of a transaction of that key's account."""
        intent = await self.intent(key)
        if intent.chain != await self.context.chain() or intent.sender != signer.address:
            chain_id = intent.chain.partition(":")[0]
            raise InvalidInput(
                f"{intent.label} is a transaction of {intent.sender} on chain {chain_id}.",
                hint="Use a client of that network with that account's key.",
                facts={"key": intent.key, "address": intent.sender},
            )
        self.lane(signer.address).signer = signer
        return self._flight_of(intent)

    async def _settled(self, flight: Flight) -> None:
        """Wait for the chain's word, within the policy's time."""
        try:
            async with asyncio.timeout(self.context.policy.receipt_timeout):
                await flight.until_settled()
        except (TimeoutError, OGPUError):
            logger.info("%s is still open", flight.key)

    # --- for tests and tools

    @property
    def policy(self) -> Policy:
        """How this client sends."""
        return self.context.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self.context.policy = policy
