"""What a transaction would cost now, in one batch of reads, and what would make it fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ogpu.errors import ContractReverted, InsufficientFunds, RPCFailed, TransactionError
from ogpu.rpc.codec import decode_revert
from ogpu.rpc.transport import RPC, Request, mapping, quantity, raised
from ogpu.tx import fees
from ogpu.tx.replies import Reply, judge
from ogpu.tx.state import Call

DEFAULT_PRIORITY_FEE = 10**9  # wei per gas, for nodes without eth_maxPriorityFeePerGas

MOST_GAS_COST = 100 * 10**18  # wei a transaction; a node that suggests more errs, or means harm

_FEE_REQUESTS: list[Request] = [
    ("eth_getBlockByNumber", ["latest", False]),
    ("eth_maxPriorityFeePerGas", []),
    ("eth_gasPrice", []),
]


@dataclass(frozen=True)
class Quote:
    """The cost of a call now, the sender's nonces, and the block at which they were read."""

    fees: fees.Fees
    gas: int
    mined_nonce: int
    pending_nonce: int
    block: int


async def current_fees(rpc: RPC) -> fees.Fees:
    """Fees for a transaction that should be mined soon."""
    return _fees_of(*await rpc.batch(_FEE_REQUESTS))


async def quote(rpc: RPC, call: Call, sender: str, refused: fees.Fees | None) -> Quote:
    """Simulate and price a call; `refused` are fees that a node has found too low.

    Raises `ContractReverted` for a call that would fail, `InsufficientFunds` for a sender that cannot pay
    for gas and value, and `TransactionError` for gas that would cost more than `MOST_GAS_COST`.
    """
    estimate, mined, pending, balance, *answers = await rpc.batch(
        [
            # The pending block: an idle chain's latest one is stamped with an old time.
            ("eth_estimateGas", [call.fields(sender), "pending"]),
            ("eth_getTransactionCount", [sender, "latest"]),
            ("eth_getTransactionCount", [sender, "pending"]),
            ("eth_getBalance", [sender, "latest"]),
            *_FEE_REQUESTS,
        ]
    )
    if isinstance(estimate, RPCFailed) and revert_of(estimate) is None:
        # Not every node estimates on the pending block; what else is wrong shows again.
        (estimate,) = await rpc.batch([("eth_estimateGas", [call.fields(sender)])])
    offer = _fees_of(*answers)
    if refused is not None:
        offer = fees.replacement(refused, offer)
    block = mapping(answers[0])
    gas = fees.gas_limit(_estimated(estimate, call, sender), quantity(block.get("gasLimit")))
    _check_cost(call, offer, gas)
    _check_funds(call, sender, call.value + gas * offer.max_fee, quantity(raised(balance)))
    nonces = quantity(raised(mined)), quantity(raised(pending))
    return Quote(offer, gas, *nonces, quantity(block.get("number")))


def _fees_of(block: Any, priority: Any, price: Any) -> fees.Fees:
    base = mapping(raised(block)).get("baseFeePerGas")
    return fees.suggest(
        quantity(base) if base else None,
        DEFAULT_PRIORITY_FEE if isinstance(priority, RPCFailed) else quantity(priority),
        quantity(raised(price)),
    )


def revert_of(error: RPCFailed) -> str | None:
    """The decoded reason when a node's error is a revert, else None."""
    if reason := decode_revert(error.data):
        return reason
    text = error.rpc_message
    if "revert" not in text.lower():
        return None
    return text.partition("reverted:")[2].strip()


def _estimated(estimate: object, call: Call, sender: str) -> int:
    if not isinstance(estimate, RPCFailed):
        return quantity(estimate)
    reason = revert_of(estimate)
    if reason is not None:
        raise ContractReverted(
            f"{call.label} would fail" + (f": {reason}." if reason else " (no reason given)."),
            reason=reason,
            hint="Nothing was sent.",
            facts={"from": sender, "to": call.to},
        ) from estimate
    if judge(estimate) is Reply.INSUFFICIENT_FUNDS:
        raise InsufficientFunds(
            f"{call.label}: {sender} has not enough coin for gas and value.",
            hint=f"Nothing was sent. Send coin to {sender}.",
            facts={"account": sender},
        ) from estimate
    raise estimate


def _check_cost(call: Call, offer: fees.Fees, gas: int) -> None:
    cost = gas * offer.max_fee
    if cost > MOST_GAS_COST:
        raise TransactionError(
            f"{call.label}: its gas would cost up to {cost} wei, by what the node suggests; the most that is "
            f"paid is {MOST_GAS_COST} wei.",
            hint="Nothing was sent. Try another node, or wait until gas is cheaper.",
            facts={"cost": cost, "most": MOST_GAS_COST, "gas": gas, "max_fee": offer.max_fee},
        )


def _check_funds(call: Call, sender: str, needed: int, available: int) -> None:
    if available < needed:
        raise InsufficientFunds(
            f"{call.label}: {sender} needs up to {needed} wei for gas and value, and has {available}.",
            hint=f"Nothing was sent. Send coin to {sender}.",
            facts={"account": sender, "needed": needed, "available": available},
        )
