"""The protocol's events as frozen values. Amounts in wei."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

from ogpu.types import Environment, ResponseStatus, SourceParams, SourceStatus, TaskStatus

E = TypeVar("E", bound="ProtocolEvent")


@dataclass(frozen=True)
class LogPlace:
    """Where the chain has a log: `contract` is the address that emitted it.

    `timestamp` is its block's, in Unix seconds, where that is known: in streams.
    """

    contract: str
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int
    timestamp: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ProtocolEvent:
    """What all events have; whose one is, only `place.contract` says, since anyone can emit the like.

    `removed`: a stream gives an event again, so marked, when a reorganisation has taken it back.
    """

    place: LogPlace = field(kw_only=True)
    removed: bool = field(default=False, kw_only=True)


# --- Nexus


@dataclass(frozen=True)
class SourcePublished(ProtocolEvent):
    """A source was published."""

    source: str


@dataclass(frozen=True)
class SourceUpdated(ProtocolEvent):
    """A source has new terms."""

    source: str
    source_params: SourceParams


@dataclass(frozen=True)
class SourceStatusChanged(ProtocolEvent):
    """A source was inactivated."""

    source: str
    status: SourceStatus


@dataclass(frozen=True)
class Registered(ProtocolEvent):
    """A provider was registered to a source; ids start at 1."""

    provider: str
    registrant_id: int
    source: str
    preferred_environment: Environment


@dataclass(frozen=True)
class TaskPublished(ProtocolEvent):
    """A task was published, and its payment frozen."""

    task: str
    source: str


@dataclass(frozen=True)
class TaskStatusChanged(ProtocolEvent):
    """A task went on in its life."""

    task: str
    status: TaskStatus


@dataclass(frozen=True)
class Attempted(ProtocolEvent):
    """A provider took a task on, and suggested a price in wei."""

    task: str
    provider: str
    suggested_payment: int


@dataclass(frozen=True)
class ResponseSubmitted(ProtocolEvent):
    """A provider answered a task."""

    response: str
    task: str


@dataclass(frozen=True)
class ResponseStatusChanged(ProtocolEvent):
    """A response was confirmed."""

    response: str
    status: ResponseStatus


# --- Terminal


@dataclass(frozen=True)
class ProviderAnnounced(ProtocolEvent):
    """A master gave its half of a pairing."""

    provider: str
    master: str


@dataclass(frozen=True)
class MasterAnnounced(ProtocolEvent):
    """A provider gave its half of a pairing."""

    provider: str
    master: str


@dataclass(frozen=True)
class ProviderRemoved(ProtocolEvent):
    """A pairing was ended by its master."""

    provider: str


@dataclass(frozen=True)
class RemoveContainer(ProtocolEvent):
    """A master tells its provider to drop a source's container."""

    provider: str
    source: str


@dataclass(frozen=True)
class AgentSet(ProtocolEvent):
    """An account lets an agent act for it, or no longer."""

    account: str
    agent: str
    value: bool


@dataclass(frozen=True)
class DefaultAgentDisabled(ProtocolEvent):
    """A master refuses the network's default agent (True), or takes it again."""

    master: str
    value: bool


@dataclass(frozen=True)
class BaseDataUpdated(ProtocolEvent):
    """A provider has new base data."""

    provider: str


@dataclass(frozen=True)
class LiveDataUpdated(ProtocolEvent):
    """A provider has new live data."""

    provider: str


# --- Vault


@dataclass(frozen=True)
class VaultMovement(ProtocolEvent):
    """What the Vault's events have: an account, and an amount in wei."""

    account: str
    amount: int


@dataclass(frozen=True)
class Deposited(VaultMovement):
    """Coin came into the Vault."""


@dataclass(frozen=True)
class Withdrawn(VaultMovement):
    """Coin left the Vault."""


@dataclass(frozen=True)
class Locked(VaultMovement):
    """Balance became lockup."""


@dataclass(frozen=True)
class Unbonded(VaultMovement):
    """Lockup began to unbond."""


@dataclass(frozen=True)
class UnbondingCanceled(VaultMovement):
    """What unbonded is lockup again. The testnet's Vault lacks it."""


@dataclass(frozen=True)
class Claimed(VaultMovement):
    """What had unbonded is balance again."""


@dataclass(frozen=True)
class Sanctioned(VaultMovement):
    """A judge took stake away."""


@dataclass(frozen=True)
class Waived(VaultMovement):
    """A judge gave stake back."""


# --- Manager and ownership


@dataclass(frozen=True)
class OwnershipTransferred(ProtocolEvent):
    """A contract has another owner."""

    previous_owner: str
    new_owner: str


@dataclass(frozen=True)
class RoleGranted(ProtocolEvent):
    """An account was given a role of the protocol."""

    role: bytes
    account: str
    sender: str


@dataclass(frozen=True)
class RoleRevoked(ProtocolEvent):
    """An account lost a role of the protocol."""

    role: bytes
    account: str
    sender: str


@dataclass(frozen=True)
class RoleAdminChanged(ProtocolEvent):
    """Another role may now grant a role."""

    role: bytes
    previous_admin_role: bytes
    new_admin_role: bytes


_STATUS: dict[type, Callable[[int], Any]] = {
    SourceStatusChanged: SourceStatus,
    TaskStatusChanged: TaskStatus,
    ResponseStatusChanged: ResponseStatus,
}


def event_of(kind: type[E], arguments: Mapping[str, Any], place: LogPlace) -> E:
    """An event from its decoded arguments, by their names in the ABI; `ValueError` for an unknown status."""
    values = {_python_name(name): value for name, value in arguments.items()}
    if kind in _STATUS:
        values["status"] = _STATUS[kind](values["status"])
    if "preferred_environment" in values:
        values["preferred_environment"] = Environment(values["preferred_environment"])
    if "source_params" in values:
        values["source_params"] = SourceParams.of(values["source_params"])
    assert values.keys() == {each.name for each in fields(kind)} - {"place", "removed"}
    return kind(**values, place=place)


@cache
def _python_name(name: str) -> str:
    """`suggestedPayment` as `suggested_payment`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
