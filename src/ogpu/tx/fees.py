"""Fees: what to offer, and what nodes accept as a replacement. Pure; all in wei per gas."""

from __future__ import annotations

from dataclasses import dataclass

BASE_FEE_HEADROOM = 2  # outlasts five full blocks in a row, each raising the base fee by 1/8 (EIP-1559)
REPLACEMENT_PERCENT = 10  # geth's txpool.pricebump: both fee fields must rise by at least this much
GAS_HEADROOM_PERCENT = 20  # state may change between the estimate and the block


@dataclass(frozen=True)
class Fees:
    """`max_fee` and `priority_fee` of EIP-1559; on a legacy chain `priority_fee` is None."""

    max_fee: int
    priority_fee: int | None

    def fields(self) -> dict[str, int]:
        """The transaction's own fields for these fees."""
        if self.priority_fee is None:
            return {"gasPrice": self.max_fee}
        return {"maxFeePerGas": self.max_fee, "maxPriorityFeePerGas": self.priority_fee, "type": 2}


def suggest(
    base_fee: int | None,
    priority_fee: int,
    gas_price: int,
    *,
    wanted_max: int | None = None,
    wanted_priority: int | None = None,
) -> Fees:
    """Fees for a transaction that should be in one of the next blocks; no base fee means a legacy chain.

    `wanted_max` and `wanted_priority` are the caller's own, and win.
    """
    if base_fee is None:
        return Fees(gas_price if wanted_max is None else wanted_max, None)
    priority = priority_fee if wanted_priority is None else wanted_priority
    if wanted_max is not None:
        return Fees(wanted_max, min(priority, wanted_max))
    return Fees(BASE_FEE_HEADROOM * base_fee + priority, priority)


def capped(offer: Fees, cap: int | None) -> Fees:
    """The offer, and never more than the cap."""
    if cap is None or offer.max_fee <= cap:
        return offer
    return Fees(cap, None if offer.priority_fee is None else min(offer.priority_fee, cap))


def replacement(old: Fees, current: Fees) -> Fees:
    """Fees that replace a transaction with `old` ones, and that the chain takes now."""
    priority = None
    if old.priority_fee is not None or current.priority_fee is not None:
        priority = max(raise_by_rule(old.priority_fee or 0), current.priority_fee or 0)
    max_fee = max(raise_by_rule(old.max_fee), current.max_fee, priority or 0)
    return Fees(max_fee, priority)


def replacement_under(old: Fees, current: Fees, cap: int | None) -> Fees | None:
    """The same under a cap; None when no node would take as little in place of the old one."""
    offer = capped(replacement(old, current), cap)
    least = replacement(old, old)
    short = offer.max_fee < least.max_fee or (offer.priority_fee or 0) < (least.priority_fee or 0)
    return None if short else offer


def raise_by_rule(fee: int) -> int:
    """The least fee over `fee` that every node takes in its place."""
    return fee + max(1, -(-fee * REPLACEMENT_PERCENT // 100))


def gas_limit(estimate: int, block_limit: int) -> int:
    """The gas to allow for a call that was estimated at `estimate`."""
    return min(estimate + estimate * GAS_HEADROOM_PERCENT // 100, block_limit)
