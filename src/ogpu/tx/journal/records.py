"""What the journal keeps: intents, attempts and lanes, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ogpu.tx.fees import Fees

NOBODY = ""  # an intent's owner once nobody waits for it any more, and nobody was told what became of it
TOLD = "told"  # and once its caller has the result


class State(StrEnum):
    """What has become of an intent."""

    PENDING = "pending"  # signed and stored; it may have been sent, and nothing else is known
    DONE = "done"  # mined, and it succeeded
    REVERTED = "reverted"  # mined, and the contract refused
    CANCELED = "canceled"  # an empty transfer of ours was mined in its place
    FOREIGN = "foreign"  # a transaction that is not in the journal was mined in its place
    REFUSED = "refused"  # no node took it at its first send; its nonce was given back


class Kind(StrEnum):
    """What an attempt does."""

    CALL = "call"  # what the intent wants
    CANCEL = "cancel"  # an empty transfer to ourselves at the same nonce


@dataclass(frozen=True)
class Attempt:
    """One signed transaction. Its bytes never change; sending them again is always safe."""

    kind: Kind
    nonce: int
    hash: str
    fees: Fees
    gas: int
    raw: bytes = field(repr=False)
    first_block: int  # the latest block before it was signed: it is in none before
    created: float  # Unix seconds


@dataclass(frozen=True)
class Intent:
    """A call that is to be executed once, and what has become of it. Amounts in wei, Unix seconds."""

    key: str
    named: bool  # the key is the caller's
    chain: str  # chain id and genesis hash: "1337:0x…"
    sender: str
    content: str  # hash of chain, sender and what is asked for
    label: str
    to: str
    data: str = field(repr=False)
    value: int
    payment: int
    expires: int | None
    owner: str  # the process that is responsible for it, or NOBODY, or TOLD
    nonce: int
    state: State = State.PENDING
    final: bool = False  # so deep in the chain that it is not looked at again
    outcome: dict[str, Any] | None = field(default=None, repr=False)  # the receipt, or why there is none
    created: float = 0.0
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)  # oldest first


@dataclass(frozen=True)
class Lease:
    """The right to give nonces to one account's intents, until somebody with a higher fence has it."""

    chain: str
    sender: str
    owner: str
    fence: int
    next_nonce: int | None  # after the last intent; None when nothing is remembered


@dataclass(frozen=True)
class Outcome:
    """What a look at the chain has shown of an intent."""

    key: str
    state: State
    final: bool
    outcome: dict[str, Any] | None
    owner: str | None = None  # who is responsible from now on; None leaves it as it is
    nonce: int | None = None  # of a nonce that is lost: an intent that has another one by now is left alone
