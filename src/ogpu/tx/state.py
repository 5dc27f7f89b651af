"""The values that the manager works with: calls, attempts, receipts, and which nonce comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ogpu.errors import RPCInvalidResponse
from ogpu.rpc.transport import quantity
from ogpu.tx.fees import Fees


@dataclass(frozen=True)
class Call:
    """What a transaction is to do; `label` names it in messages."""

    label: str
    to: str
    data: str
    value: int = 0
    identity: str = ""  # equal for calls that a caller who tries again means to be the same
    expires: int | None = None  # Unix seconds; after it the result is of no use

    @property
    def fingerprint(self) -> str:
        return self.identity or f"{self.to}:{self.value}:{self.data}"

    def fields(self, sender: str) -> dict[str, Any]:
        """The call in the terms of `eth_call` and `eth_estimateGas`."""
        return {"from": sender, "to": self.to, "data": self.data, "value": hex(self.value)}


@dataclass(frozen=True)
class SendOptions:
    """How to send: see `client-api` for the meaning of each."""

    nonce: int | None = None
    auto_fix_nonce: bool = True
    max_retries: int = 3


@dataclass(eq=False)
class Attempt:
    """One signed transaction. Its bytes never change; sending them again is always safe."""

    call: Call
    sender: str
    nonce: int
    fees: Fees
    raw: bytes = field(repr=False)
    hash: str
    first_block: int  # the latest block before it was sent
    node_said: str = ""  # the error of the last send
    given_up: bool = False  # replaced because its owner said so


@dataclass(frozen=True)
class Receipt:
    """A mined transaction, from the chain. `gas_price` is the price paid, in wei per gas."""

    hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    gas_price: int
    logs: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def gas_cost(self) -> int:
        """What the transaction cost in wei, its value apart."""
        return self.gas_used * self.gas_price


def parse_receipt(answer: Mapping[str, Any]) -> Receipt:
    """A receipt from a node's answer."""
    try:
        return Receipt(
            hash=answer["transactionHash"],
            block_number=quantity(answer["blockNumber"]),
            block_hash=answer["blockHash"],
            succeeded=quantity(answer["status"]) == 1,
            gas_used=quantity(answer["gasUsed"]),
            gas_price=quantity(answer.get("effectiveGasPrice", answer.get("gasPrice", "0x0"))),
            logs=answer["logs"],
        )
    except KeyError as error:
        raise RPCInvalidResponse(f"The node answered a receipt without {error}.") from error


def next_nonce(pending: int, cached: int | None, unresolved: Sequence[int]) -> int | None:
    """The nonce for a new transaction, or None when the chain must be asked again.

    `pending` is the node's count, `cached` the one after our last transaction, `unresolved` are
    the nonces of ours whose fate is open. A node that is behind us may lag, or the chain may have
    been started anew: only waiting tells.
    """
    if cached is None or cached <= pending:
        return pending
    return cached if any(nonce >= pending for nonce in unresolved) else None
