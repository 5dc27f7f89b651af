"""Calls that are to be sent, and what each would cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ogpu.errors import InvalidInput, OGPUError
from ogpu.tx import fees
from ogpu.tx.context import Context
from ogpu.tx.fees import Fees
from ogpu.tx.flight import Flight
from ogpu.tx.journal import Intent
from ogpu.tx.quote import Quote, check_cost, check_funds, quote
from ogpu.tx.state import Call, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer


@dataclass(eq=False)
class Order:
    """A call that is to be sent, and who waits until it is on its way."""

    key: str
    call: Call
    signer: Signer
    options: SendOptions
    gas: int | None = None  # the limit, when it was estimated before
    mending: Fees | None = None  # what it must outbid; it may take a nonce that others hold
    flight: asyncio.Future[Flight] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: BaseException) -> None:
        """Nothing was stored for it."""
        if not self.flight.done():
            self.flight.set_exception(error)


@dataclass(frozen=True)
class Priced:
    """An order with what it costs."""

    order: Order
    gas: int
    fees: Fees


async def price(
    context: Context, sender: str, orders: Sequence[Order], pending: Sequence[Flight]
) -> tuple[list[Priced], Quote]:
    """Simulate and price; what would fail is told at once, and takes no nonce."""
    policy = context.policy
    asking = [order for order in orders if order.gas is None]
    quoted = await quote(context.rpc, sender, policy, [order.call for order in asking])
    gas: dict[str, int | OGPUError] = {
        order.key: found for order, found in zip(asking, quoted.gas, strict=True)
    }
    left = quoted.balance - sum(most_of(flight.intent)[0] for flight in pending)
    found = []
    for order in orders:
        limit = order.gas if order.gas is not None else gas[order.key]
        offer = quoted.fees
        try:
            if order.mending:
                offer = _outbidding(order, order.mending, offer, policy.fee_cap)
            if isinstance(limit, OGPUError):
                raise limit
            check_cost(order.call, offer, limit)
            most = limit * offer.max_fee + order.call.value
            check_funds(order.call, sender, most, left)
            context.budget.reserve(order.key, most + order.call.payment)
        except OGPUError as error:
            order.fail(error)
            continue
        left -= most
        found.append(Priced(order, limit, offer))
    return found, quoted


def over_cap(what: str, nonce: int | None, offered: Fees, cap: int | None) -> InvalidInput:
    """Why nothing is put in a transaction's place."""
    return InvalidInput(
        f"{what} (nonce {nonce}) offers {offered.max_fee} wei per gas; what nodes would take in its place is "
        f"over the cap of {cap}.",
        hint="Raise fee_cap.",
        facts={"nonce": nonce, "max_fee": offered.max_fee, "fee_cap": cap},
    )


def _outbidding(order: Order, stuck: Fees, current: Fees, cap: int | None) -> Fees:
    """What a node takes in the place of a transaction that is not ours to follow."""
    offer = fees.replacement_under(stuck, current, cap)
    if offer is None:
        raise over_cap("What is stuck", order.options.nonce, stuck, cap)
    return offer


def most_of(intent: Intent) -> tuple[int, int]:
    """What an intent may cost at most in wei: gas and value, and the payment out of the Vault."""
    gas = max(attempt.gas * attempt.fees.max_fee for attempt in intent.attempts)
    return gas + intent.value, intent.payment
