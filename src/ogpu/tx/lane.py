"""One account's lane: calls are priced, given nonces, signed, stored and only then sent, many at once.

Whoever gives nonces holds the lane's lease in the journal, and writes under its fence: a sender that was
stopped for longer than its lease cannot store anything, and what is not stored is not sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ogpu.errors import (
    JournalError,
    NetworkError,
    NonceConflict,
    OGPUError,
)
from ogpu.rpc.transport import quantity
from ogpu.tx import fees
from ogpu.tx.boundaries import Boundary
from ogpu.tx.context import Context
from ogpu.tx.fees import Fees
from ogpu.tx.flight import Flight, refused, spent
from ogpu.tx.follow import Follower
from ogpu.tx.journal import (
    NOBODY,
    Attempt,
    Intent,
    IntentMoved,
    KeyTaken,
    Kind,
    Lease,
    Outcome,
    State,
)
from ogpu.tx.leases import LEASE, Leases
from ogpu.tx.orders import Order, Priced, most_of, over_cap, price
from ogpu.tx.quote import Quote, check_cost, current_fees, quote
from ogpu.tx.replies import Reply, verdict
from ogpu.tx.signer import signed
from ogpu.tx.state import Call, next_nonce

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

logger = logging.getLogger(__name__)

GROUP = 100  # calls that are signed and stored together: a batch that public nodes take
GROUPS_ON_THE_WAY = 4  # that are being sent while the next one is prepared
CHAIN_BEHIND = 3.0  # seconds; a chain that stays behind the journal for so long was wound back
TRANSFER_GAS = 21_000  # Yellow paper: a plain transfer
MOST_RAISES = 40  # 10% each: a factor of 45 over where it began
NOT_TAKEN = (Reply.NONCE_OCCUPIED, Reply.UNDERPRICED, Reply.INSUFFICIENT_FUNDS, Reply.REFUSED)


class Lane:
    """Gives one account's nonces, for one client."""

    def __init__(self, context: Context, follower: Follower, sender: str) -> None:
        self._context = context
        self._follower = follower
        self._sender = sender
        self.signer: Signer | None = None  # of the last call; for what is to be signed again
        self._orders: list[Order] = []
        self._working = False
        self._lock = asyncio.Lock()  # a lease taken anew would end the one that is in use
        self._leases = Leases(context, sender)
        self._sending = asyncio.Semaphore(GROUPS_ON_THE_WAY)

    def submit(self, order: Order) -> Awaitable[Flight]:
        """Send a call as soon as the lane is free; the flight comes once it is stored and offered."""
        self.signer = order.signer
        self._orders.append(order)
        if not self._working:
            self._working = True
            self._context.spawn(self._work(), f"the lane of {self._sender}")
        return order.flight

    async def bump(self, flight: Flight) -> bool:
        """Offer more for a transaction that does not move; False when the cap leaves no room."""
        context, intent = self._context, flight.intent
        async with self._lock:
            current = await current_fees(context.rpc, context.policy)
            offer = fees.replacement_under(flight.fees, current, context.policy.fee_cap)
            if offer is None:
                logger.info("%s is not offered for more: its fees are at the cap", flight.key)
                return False
            last = flight.attempts[-1]
            await self._leases.during(
                lambda lease: self._sign(
                    lease, flight, last.kind, intent.nonce, offer, last.gas, last.first_block
                )
            )
        await self._offer([flight])
        return True

    async def cancel(self, flight: Flight) -> None:
        """Put an empty transfer of ours at its nonce; the chain takes one of the two."""
        context = self._context
        async with self._lock:
            current, cap = await current_fees(context.rpc, context.policy), context.policy.fee_cap
            offer = fees.replacement_under(flight.fees, current, cap)
            if offer is None and flight.refusal is not None:
                offer = current  # no node has any of it, so there is nothing to outbid
            if offer is None:
                raise over_cap(flight.intent.label, flight.intent.nonce, flight.fees, cap)
            last, fee = flight.attempts[-1], offer
            await self._leases.during(
                lambda lease: self._sign(
                    lease, flight, Kind.CANCEL, last.nonce, fee, TRANSFER_GAS, last.first_block
                )
            )
        await self._offer([flight])

    async def renonce(self, flight: Flight) -> None:
        """Sign a call again, at the next nonce, after the chain has given its own to another transaction."""
        async with self._lock:
            quoted = await quote(self._context.rpc, self._sender, self._context.policy)
            gas = flight.intent.attempts[-1].gas
            await self._leases.during(lambda lease: self._move(lease, flight, quoted, gas))
        await self._offer([flight])

    async def _move(self, lease: Lease, flight: Flight, quoted: Quote, gas: int) -> None:
        nonce = await self._next(lease, quoted)
        await self._sign(lease, flight, Kind.CALL, nonce, quoted.fees, gas, quoted.block, nonce + 1)

    async def _work(self) -> None:
        orders: list[Order] = []
        try:
            while self._orders:
                orders, self._orders = self._orders[:GROUP], self._orders[GROUP:]
                async with self._lock:
                    try:
                        await self._carry_out(orders)
                    except OGPUError as error:
                        self._fail(orders, error)
        except BaseException as error:
            self._fail(orders + self._orders, error)
            self._orders.clear()
            raise
        finally:
            self._working = False

    def _fail(self, orders: Sequence[Order], error: BaseException) -> None:
        for order in orders:
            if not order.flight.done():
                self._context.budget.settle(order.key, 0)
            order.fail(error)

    async def _carry_out(self, orders: Sequence[Order]) -> None:
        orders = self._one_a_key(orders)
        pending = self._follower.pending_of(self._sender)
        priced, quoted = await price(self._context, self._sender, orders, pending)
        while priced:
            try:
                flights, priced = await self._leases.during(self._storing(priced, quoted))
            except KeyTaken as taken:  # another program stored the same key meanwhile
                self._fail([p.order for p in priced if p.order.key in taken.keys], taken)
                priced = [p for p in priced if p.order.key not in taken.keys]
                continue
            self._context.at(Boundary.STORED)
            for flight in flights:
                self._follower.follow(flight)
            self._tell(orders, flights)
            await self._sending.acquire()
            self._context.spawn(self._send(flights), f"sending for {self._sender}")

    def _one_a_key(self, orders: Sequence[Order]) -> list[Order]:
        """What is still asked for; whoever asks by a key that is on its way looks for that one instead."""
        found: dict[str, Order] = {}
        for order in orders:
            if order.flight.done():
                continue  # whoever asked has gone
            if order.key in found or self._follower.get(order.key):
                order.fail(KeyTaken([order.key]))  # before it takes the other's place in the budget
            else:
                found[order.key] = order
        return list(found.values())

    def _storing(
        self, priced: Sequence[Priced], quoted: Quote
    ) -> Callable[[Lease], Awaitable[tuple[list[Flight], list[Priced]]]]:
        return lambda lease: self._store(lease, priced, quoted)

    async def _send(self, flights: Sequence[Flight]) -> None:
        try:
            await self._offer(flights)
        finally:
            self._sending.release()

    def _tell(self, orders: Sequence[Order], flights: Sequence[Flight]) -> None:
        by_key = {order.key: order for order in orders}
        for flight in flights:
            order = by_key[flight.key]
            if order.flight.done():  # whoever waited was cancelled
                self._context.spawn(self._follower.leave(flight), f"leaving {flight.key}")
            else:
                flight.waiters += 1
                order.flight.set_result(flight)

    async def _store(
        self, lease: Lease, priced: Sequence[Priced], quoted: Quote
    ) -> tuple[list[Flight], list[Priced]]:
        """Give nonces, sign and store; what a slow signer leaves no time for is left over."""
        context = self._context
        nonce, began = await self._next(lease, quoted), context.now()
        flights: list[Flight] = []
        left: list[Priced] = []
        for position, each in enumerate(priced):
            if flights and context.now() - began > LEASE / 2:
                left = list(priced[position:])
                break
            if each.order.flight.done():
                context.budget.settle(each.order.key, 0)
                continue
            try:
                chosen = await self._chosen(each.order, nonce, quoted)
                flights.append(await self._first(each, chosen, quoted))
                nonce = max(nonce, chosen + 1)
            except OGPUError as error:
                if isinstance(error, JournalError):
                    raise
                context.budget.settle(each.order.key, 0)
                each.order.fail(error)
        context.at(Boundary.SIGNED)
        if flights:
            await self._add(lease, [flight.intent for flight in flights], nonce)
        else:
            await context.journal.release(lease)
        return flights, left

    async def _add(self, lease: Lease, intents: Sequence[Intent], next_nonce: int) -> None:
        journal = self._context.journal
        try:
            await journal.add(lease, intents, next_nonce)
        except asyncio.CancelledError:  # it is written all the same: whoever asks again may have it
            await journal.take_over([intent.key for intent in intents], NOBODY)
            raise
        except JournalError:  # it may be written all the same, when it was the reply that was lost
            self._context.doubtful.update(intent.key for intent in intents)
            raise

    async def _next(self, lease: Lease, quoted: Quote) -> int:
        """The next nonce, once journal and chain agree on it."""
        context, remembered, pending = self._context, lease.next_nonce, quoted.pending_nonce
        deadline = context.now() + CHAIN_BEHIND
        while True:
            ours = [flight.intent.nonce for flight in self._follower.pending_of(self._sender)]
            nonce = next_nonce(pending, remembered, ours)
            if nonce is None or remembered is None:
                # What is mined counts too: should a reorganisation have dropped it, it is sent again.
                ours += [intent.nonce for intent in await self._follower.take_up(self._sender)]
                nonce = next_nonce(pending, remembered, ours)
            if nonce is not None:
                return nonce
            if context.now() > deadline:
                logger.warning(
                    "the chain counts %d transactions of %s, and %s were mined before: it was wound back",
                    pending,
                    self._sender,
                    remembered,
                )
                return pending
            await asyncio.sleep(0.2)
            pending = quantity(await context.rpc.call("eth_getTransactionCount", self._sender, "pending"))

    async def _chosen(self, order: Order, following: int, quoted: Quote) -> int:
        """The order's nonce: the next one, or the caller's own when it can be right."""
        nonce = order.options.nonce
        if nonce is None or order.mending:
            return following if nonce is None else nonce
        facts = {"nonce": nonce, "address": self._sender, "next": following}
        if nonce < quoted.mined_nonce:
            raise NonceConflict(
                f"Nonce {nonce} of {self._sender} is used already; the next one is {following}.",
                hint="Leave nonce= out.",
                facts=facts,
            )
        if nonce > following:
            raise NonceConflict(
                f"Nonce {nonce} of {self._sender} leaves a gap: the next one is {following}.",
                hint="A transaction after a gap is not mined. Leave nonce= out.",
                facts=facts,
            )
        for intent in await self._follower.open_intents(self._sender):
            if intent.nonce == nonce:
                raise NonceConflict(
                    f"Nonce {nonce} of {self._sender} is taken by a transaction of ours that is on its way: "
                    f"{intent.label}, {intent.attempts[-1].hash}.",
                    hint="Leave nonce= out, or cancel that one first.",
                    facts={**facts, "key": intent.key},
                )
        return nonce

    async def _first(self, priced: Priced, nonce: int, quoted: Quote) -> Flight:
        """An intent with its first attempt, signed and not stored yet."""
        order, context = priced.order, self._context
        transaction = self._transaction(order.call.to, order.call.data, order.call.value, nonce, priced)
        raw, tx_hash = await signed(order.signer, transaction)
        now = time.time()
        chain = await context.chain()
        intent = Intent(
            key=order.key,
            named=order.options.key is not None,
            chain=chain,
            sender=self._sender,
            content=order.call.content(chain, self._sender),
            label=order.call.label,
            to=order.call.to,
            data=order.call.data,
            value=order.call.value,
            payment=order.call.payment,
            expires=order.call.expires,
            owner=context.owner,
            nonce=nonce,
            created=now,
            attempts=(Attempt(Kind.CALL, nonce, tx_hash, priced.fees, priced.gas, raw, quoted.block, now),),
        )
        flight = Flight(intent, order.options, context.now())
        flight.mending = order.mending is not None
        return flight

    def _transaction(
        self, to: str, data: str, value: int, nonce: int, offer: Priced | tuple[int, Fees]
    ) -> dict[str, Any]:
        gas, price = (offer.gas, offer.fees) if isinstance(offer, Priced) else offer
        return {
            "chainId": self._context.chain_id,
            "nonce": nonce,
            "to": to,
            "data": data,
            "value": value,
            "gas": gas,
            **price.fields(),
        }

    # --- further attempts

    async def _sign(
        self,
        lease: Lease,
        flight: Flight,
        kind: Kind,
        nonce: int,
        offer: Fees,
        gas: int,
        first_block: int,
        next_nonce: int | None = None,
    ) -> None:
        """Sign and store one more attempt, unless somebody was quicker; then that is what is followed."""
        context, intent = self._context, flight.intent
        if not flight.pending:  # the chain was quicker, and the budget has what it cost
            await context.journal.release(lease)
            return
        if self.signer is None:
            raise NonceConflict(
                f"{intent.label} (nonce {intent.nonce}) cannot be signed again: its key is not at hand.",
                hint=f"Use a client with the key of {intent.sender}.",
                facts={"key": intent.key, "address": intent.sender, "nonce": intent.nonce},
            )
        what = (intent.to, intent.data, intent.value) if kind is Kind.CALL else (intent.sender, "0x", 0)
        check_cost(Call(intent.label, *what), offer, gas)
        gas_cost, rest = most_of(intent)
        context.budget.reserve(intent.key, max(gas_cost, gas * offer.max_fee + intent.value) + rest)
        transaction = self._transaction(*what, nonce, (gas, offer))
        raw, tx_hash = await signed(self.signer, transaction)
        context.at(Boundary.BUMP_SIGNED)
        attempt = Attempt(kind, nonce, tx_hash, offer, gas, raw, first_block, time.time())
        try:
            await context.journal.add_attempt(lease, intent.key, attempt, next_nonce, instead_of=intent.nonce)
        except IntentMoved:
            logger.info("%s was mended by another program", intent.key)
            await context.journal.release(lease)
            found = await context.journal.find(intent.key) or intent
            flight.become(found)
            if found.state is not State.PENDING:
                context.budget.settle(found.key, spent(found))
            return
        context.at(Boundary.CANCEL_STORED if kind is Kind.CANCEL else Boundary.BUMP_STORED)
        flight.add(attempt, context.now())

    # --- sending

    async def _offer(self, flights: Sequence[Flight]) -> None:
        """Send for the first time what is stored, and deal with what no node takes."""
        flights = [flight for flight in flights if flight.pending]  # one may be settled by now
        if not flights:
            return
        self._context.at(Boundary.SENDING)
        replies = await self._broadcast(flights)
        self._context.at(Boundary.SENT)
        for flight, (reply, said) in zip(flights, replies, strict=True):
            flight.heard(reply, said, self._context.now())
            flight.judged = flight.pending and reply in NOT_TAKEN
            if reply is not Reply.ACCEPTED:
                logger.info("send of %s: %s (%s)", flight.intent.attempts[-1].hash, reply.value, said)
        for flight, (reply, said) in zip(flights, replies, strict=True):
            if flight.judged:
                try:
                    await self._refusal(flight, reply, said)
                finally:
                    flight.judged = False
        self._follower.hurry()

    async def _broadcast(self, flights: Sequence[Flight]) -> list[tuple[Reply, str]]:
        """Offer the last attempts to all nodes; nodes of another chain leave everything open."""
        try:
            answers = await self._context.rpc.broadcast([f.intent.attempts[-1].raw for f in flights])
        except NetworkError as error:
            return [(Reply.UNDETERMINED, error.message)] * len(flights)
        return [verdict(given) for given in answers]

    async def _refusal(self, flight: Flight, reply: Reply, said: str) -> None:
        """No node has the last attempt: offer more where that helps, else free the nonce.

        When an earlier attempt may be somewhere, or comes there just now, nothing is concluded; the chain
        will tell.
        """
        attempts, mending = flight.attempts, flight.mending
        outbid = reply is Reply.UNDERPRICED or (reply is Reply.NONCE_OCCUPIED and mending)
        if outbid and len(attempts) < (MOST_RAISES if mending else flight.options.max_retries):
            try:
                if await self.bump(flight):
                    return
            except OGPUError as error:
                logger.info("%s cannot be offered for more: %s", flight.key, error)
        if reply is Reply.NONCE_OCCUPIED and not flight.options.strict:
            return  # the chain will show whose the nonce becomes
        if not (flight.offered or flight.resending) and flight.refusal is None:
            await self._give_up(flight, reply, said)

    async def _give_up(self, flight: Flight, reply: Reply, said: str) -> None:
        """What no node took gives its nonce back; when others follow it, an empty transfer has it."""
        outcome = Outcome(flight.key, State.REFUSED, True, {"reply": reply.name, "said": said})
        refused_one = flight.intent.attempts[-1]

        async def give_back(lease: Lease) -> bool:
            return await self._context.journal.give_back(lease, outcome, refused_one.nonce)

        async with self._lock:
            if flight.intent.attempts[-1] is not refused_one:
                return  # more was offered meanwhile, and the answer to that counts
            flight.refusal = refused(flight.intent, reply, said)
            given_back = await self._leases.during(give_back)
        if not given_back:
            await self.cancel(flight)
            return
        self._context.at(Boundary.GIVEN_BACK)
        self._context.budget.settle(flight.key, 0)
        flight.learn(outcome)
        self._follower.drop(flight)
