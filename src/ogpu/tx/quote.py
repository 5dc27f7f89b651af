"""What transactions would cost now, in one batch of reads, and what would make them fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ogpu.errors import ContractReverted, DryRun, GasTooExpensive, InsufficientFunds, OGPUError, RPCFailed
from ogpu.rpc.reverts import revert_of
from ogpu.rpc.transport import RPC, Request, mapping, quantity, raised
from ogpu.tx import fees
from ogpu.tx.fees import Fees
from ogpu.tx.journal import Intent
from ogpu.tx.replies import Reply, judge
from ogpu.tx.state import Call, Cost, Policy

DEFAULT_PRIORITY_FEE = 10**9  # wei per gas, for nodes without eth_maxPriorityFeePerGas

NOTHING = Cost(0, 0, None, 0, 0)

MOST_GAS_COST = 100 * 10**18  # wei a transaction; a node that suggests more errs, or means harm

_FEE_REQUESTS: list[Request] = [
    ("eth_getBlockByNumber", ["latest", False]),
    ("eth_maxPriorityFeePerGas", []),
    ("eth_gasPrice", []),
]


@dataclass(frozen=True)
class Quote:
    """Fees now, and the sender's nonces and balance (wei), as of one block."""

    fees: Fees
    mined_nonce: int
    pending_nonce: int
    balance: int
    block: int
    block_limit: int
    gas: tuple[int | OGPUError, ...]  # the limit for each call that was to be estimated, or why it would fail


async def current_fees(rpc: RPC, policy: Policy) -> Fees:
    """Fees for a transaction that should be mined soon."""
    return _fees_of(await rpc.batch(_FEE_REQUESTS), policy)


async def quote(rpc: RPC, sender: str, policy: Policy, calls: Sequence[Call] = ()) -> Quote:
    """Read all that is needed to sign, and simulate calls; what would fail stands in the place of its gas."""
    mined, pending, balance, *answers = await rpc.batch(
        [
            ("eth_getTransactionCount", [sender, "latest"]),
            ("eth_getTransactionCount", [sender, "pending"]),
            ("eth_getBalance", [sender, "latest"]),
            *_FEE_REQUESTS,
            # The pending block: an idle chain's latest one is stamped with an old time.
            *(("eth_estimateGas", [call.fields(sender), "pending"]) for call in calls),
        ]
    )
    estimates = await _on_latest(rpc, sender, calls, answers[len(_FEE_REQUESTS) :])
    block = mapping(raised(answers[0]))
    number, limit = quantity(block.get("number")), quantity(block.get("gasLimit"))
    balance = quantity(raised(balance))
    return Quote(
        _fees_of(answers[: len(_FEE_REQUESTS)], policy),
        quantity(raised(mined)),
        quantity(raised(pending)),
        balance,
        number,
        limit,
        tuple(
            fees.gas_limit(quantity(estimate), limit)
            if not isinstance(estimate, RPCFailed)
            else _refusal(call, estimate, sender, number, balance)
            for call, estimate in zip(calls, estimates, strict=True)
        ),
    )


async def _on_latest(rpc: RPC, sender: str, calls: Sequence[Call], estimates: list[Any]) -> list[Any]:
    """The estimates; what a node refuses on the pending block, as not every node has one, on the latest."""
    odd = [
        n for n, found in enumerate(estimates) if isinstance(found, RPCFailed) and revert_of(found) is None
    ]
    if odd:
        again = await rpc.batch([("eth_estimateGas", [calls[n].fields(sender)]) for n in odd])
        for n, answer in zip(odd, again, strict=True):
            estimates[n] = answer
    return estimates


def _fees_of(answers: Sequence[Any], policy: Policy) -> Fees:
    block, priority, price = answers
    base = mapping(raised(block)).get("baseFeePerGas")
    offer = fees.suggest(
        quantity(base) if base else None,
        DEFAULT_PRIORITY_FEE if isinstance(priority, RPCFailed) else quantity(priority),
        quantity(raised(price)),
        wanted_max=policy.max_fee,
        wanted_priority=policy.priority_fee,
    )
    return fees.capped(offer, policy.fee_cap)


def _refusal(call: Call, estimate: RPCFailed, sender: str, block: int, balance: int) -> OGPUError:
    """The error that a call would end with."""
    error: OGPUError
    if (revert := revert_of(estimate)) is not None:
        error = ContractReverted(
            f"{call.label} would fail" + (f": {revert.words}." if revert.words else " (no reason given)."),
            reason=revert.words,
            data=revert.data,
            hint="Nothing was sent.",
            facts={"from": sender, "to": call.to, "block": block},
        )
    elif judge(estimate) is Reply.INSUFFICIENT_FUNDS:
        error = InsufficientFunds(
            f"{call.label}: {sender} has not enough coin for gas and value: it has {balance} wei.",
            hint=f"Nothing was sent. Send coin to {sender}.",
            facts={"account": sender, "available": balance, "value": call.value},
        )
    else:
        return estimate
    error.__cause__ = estimate
    return error


def check_cost(call: Call, offer: Fees, gas: int) -> None:
    """Raise when a node suggests a price that cannot be meant."""
    cost = gas * offer.max_fee
    if cost > MOST_GAS_COST:
        raise GasTooExpensive(
            f"{call.label}: its gas would cost up to {cost} wei, by what the node suggests; the most that is "
            f"paid is {MOST_GAS_COST} wei.",
            hint="Nothing was sent. Try another node, or wait until gas is cheaper.",
            facts={"cost": cost, "most": MOST_GAS_COST, "gas": gas, "max_fee": offer.max_fee},
        )


def check_funds(call: Call, sender: str, needed: int, available: int) -> None:
    """Raise when the account cannot pay for gas and value, both in wei."""
    if available < needed:
        raise InsufficientFunds(
            f"{call.label}: {sender} needs up to {needed} wei for gas and value, and has {available}.",
            hint=f"Nothing was sent. Send coin to {sender}.",
            facts={"account": sender, "needed": needed, "available": max(0, available)},
        )


def not_sent(call: Call, sender: str, cost: Cost, known: Intent | None = None) -> DryRun:
    """What is raised in place of sending a call; `known` is the intent that has its idempotency key."""
    if known is not None:
        said = f"{call.label} was asked for before by this key: it is {known.state.value}."
    else:
        said = f"{call.label} would cost {sender} at most {cost.total} wei, {cost.gas_cost} of it gas."
    return DryRun(
        f"{said} Nothing was uploaded or sent.",
        hint="The client's policy is dry_run.",
        facts={
            "call": call.label,
            "sender": sender,
            "to": call.to,
            "value": call.value,
            "payment": call.payment,
            "gas": cost.gas,
            "max_fee": cost.max_fee,
            "priority_fee": cost.priority_fee,
            "gas_cost": cost.gas_cost,
            "total": cost.total,
            "state": None if known is None else known.state.value,
        },
    )
