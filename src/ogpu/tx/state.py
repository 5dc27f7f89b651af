"""The engine's values: calls, options, policies, receipts, and which nonce comes next. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ogpu.errors import RPCInvalidResponse
from ogpu.rpc.codec import DecodedEvent, decoded_events
from ogpu.rpc.transport import hash_of, quantity


@dataclass(frozen=True)
class Call:
    """What a transaction is to do; `label` names it in messages. Amounts in wei."""

    label: str
    to: str
    data: str = field(default="0x", repr=False)
    value: int = 0
    payment: int = 0  # what it moves out of the sender's Vault balance
    identity: str = ""  # stands for the data where that holds what a caller computes anew on each try
    expires: int | None = None  # Unix seconds; after it the result is of no use
    shape: str = ""  # calls of one shape take about the same gas

    def content(self, chain: str, sender: str) -> str:
        """The hash by which calls are the same to the journal."""
        asked = [chain, sender, self.to, self.value, self.identity or self.data]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def fields(self, sender: str) -> dict[str, Any]:
        """The call in the terms of `eth_call` and `eth_estimateGas`."""
        return {"from": sender, "to": self.to, "data": self.data, "value": hex(self.value)}


@dataclass(frozen=True)
class SendOptions:
    """How to send one call: see `client-api` for the first three; `key` is the caller's idempotency key."""

    nonce: int | None = None
    auto_fix_nonce: bool = True
    max_retries: int = 3
    key: str | None = None

    @property
    def strict(self) -> bool:
        """Whether another nonce than the first one chosen is out of the question."""
        return self.nonce is not None or not self.auto_fix_nonce


@dataclass(frozen=True)
class Policy:
    """How a client sends. Fees in wei per gas, `max_spend` in wei, times in seconds, depths in blocks."""

    max_fee: int | None = None  # offered at first; None: twice the base fee and the priority fee
    priority_fee: int | None = None  # None: what the node suggests
    fee_cap: int | None = None  # never offered more than this, whatever happens
    max_spend: int | None = None  # gas and payments of this client together
    stuck_after: float = 45.0  # a transaction that is next and not mined for so long is offered for more
    confirmations: int = 1  # blocks, its own among them, before a call returns
    finality: int = 16  # blocks over it, after which a transaction is looked at no more
    receipt_timeout: float = 120.0  # after it the caller is told that the fate is open
    dry_run: bool = (
        False  # whether calls end with the error `DryRun`, which has their cost, and nothing is sent
    )


@dataclass(frozen=True)
class Cost:
    """What a call would cost at most, now: `gas_cost` is `gas` times `max_fee`; all amounts in wei."""

    gas: int
    max_fee: int
    priority_fee: int | None
    gas_cost: int
    payment: int

    @property
    def total(self) -> int:
        """Gas and payment together."""
        return self.gas_cost + self.payment


@dataclass(frozen=True)
class Receipt:
    """A mined transaction, from the chain. `gas_price` in wei per gas, as paid; `block_time` in Unix time."""

    hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    gas_price: int
    logs: Sequence[Mapping[str, Any]] = field(repr=False)
    block_time: int = 0

    @property
    def gas_cost(self) -> int:
        """What the transaction cost in wei, its value apart."""
        return self.gas_used * self.gas_price

    @property
    def events(self) -> list[DecodedEvent]:
        """The protocol's events in it, decoded; each says which contract it is from."""
        return decoded_events(self.logs)

    def record(self) -> dict[str, Any]:
        """As the journal stores it."""
        return asdict(self)


def parse_receipt(answer: Mapping[str, Any], block_time: int = 0) -> Receipt:
    """A receipt from a node's answer."""
    try:
        return Receipt(
            hash=hash_of(answer["transactionHash"]),
            block_number=quantity(answer["blockNumber"]),
            block_hash=hash_of(answer["blockHash"]),
            succeeded=quantity(answer["status"]) == 1,
            gas_used=quantity(answer["gasUsed"]),
            gas_price=quantity(answer.get("effectiveGasPrice", answer.get("gasPrice", "0x0"))),
            logs=answer["logs"],
            block_time=block_time,
        )
    except KeyError as error:
        raise RPCInvalidResponse(f"The node answered a receipt without {error}.") from error


def next_nonce(pending: int, remembered: int | None, unresolved: Sequence[int]) -> int | None:
    """The nonce for a new transaction, or None when the chain must be asked again.

    `pending` is the node's count, `remembered` the one after our last transaction, `unresolved` are
    the nonces of ours whose fate is open. A node that is behind us may lag, or the chain may have
    been wound back: only waiting tells.
    """
    if remembered is None or remembered <= pending:
        return max([pending, *(nonce + 1 for nonce in unresolved)])
    return remembered if any(nonce >= pending for nonce in unresolved) else None
