"""Enumerations and values that callers give and get. Amounts are in wei, times in Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from pydantic import BaseModel

Role: TypeAlias = Literal["client", "provider", "master", "agent"]  # whose key signs


class DeliveryMethod(IntEnum):
    """How a task gets its final response: confirmed by its client, or the first one wins."""

    MANUAL_CONFIRMATION = 0
    FIRST_RESPONSE = 1


class TaskStatus(IntEnum):
    """Where a task is in its life."""

    NEW = 0
    ATTEMPTED = 1
    RESPONDED = 2
    CANCELED = 3
    EXPIRED = 4
    FINALIZED = 5

    @property
    def final(self) -> bool:
        """Whether the task can change no more."""
        return self >= TaskStatus.CANCELED


class SourceStatus(IntEnum):
    """An inactive source takes no new tasks, for good."""

    ACTIVE = 0
    INACTIVE = 1


class ResponseStatus(IntEnum):
    """Whether a response was confirmed."""

    SUBMITTED = 0
    CONFIRMED = 1


class Environment(IntFlag):
    """The hardware that a source offers images for, and a provider registers with."""

    CPU = 1
    NVIDIA = 2
    AMD = 4


@dataclass
class ImageEnvironments:
    """The docker-compose URL of a source for each kind of hardware; at least one is needed to publish."""

    cpu: str = ""
    nvidia: str = ""
    amd: str = ""

    @property
    def environments(self) -> Environment:
        """The bits of the environments that have a URL."""
        bits = Environment(0)
        if self.cpu:
            bits |= Environment.CPU
        if self.nvidia:
            bits |= Environment.NVIDIA
        if self.amd:
            bits |= Environment.AMD
        return bits


@dataclass
class SourceInfo:
    """A service to publish.

    `minPayment` and `minAvailableLockup` are in wei, `maxExpiryDuration` in seconds.
    """

    name: str
    description: str
    logoUrl: str
    imageEnvs: ImageEnvironments
    minPayment: int
    minAvailableLockup: int
    maxExpiryDuration: int
    deliveryMethod: DeliveryMethod = DeliveryMethod.MANUAL_CONFIRMATION

    def metadata(self) -> dict[str, str]:
        """The JSON document that describes the source to providers and people."""
        return {
            "cpu": self.imageEnvs.cpu,
            "nvidia": self.imageEnvs.nvidia,
            "amd": self.imageEnvs.amd,
            "name": self.name,
            "description": self.description,
            "logoUrl": self.logoUrl,
        }


@dataclass(init=False)
class TaskInput:
    """What a task asks for: a function of the source and its data.

    Further keyword arguments become top-level fields of the task's config, beside
    `function_name` and `data`.
    """

    function_name: str
    data: BaseModel | dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __init__(self, function_name: str, data: BaseModel | dict[str, Any], **extra: Any) -> None:
        self.function_name = function_name
        self.data = data
        self.extra = extra

    def to_dict(self) -> dict[str, Any]:
        """The config document, as it is uploaded."""
        data = self.data if isinstance(self.data, dict) else self.data.model_dump(mode="json")
        return {"function_name": self.function_name, "data": data, **self.extra}


@dataclass
class TaskInfo:
    """A task to publish: `expiryTime` in Unix seconds, `payment` in wei."""

    source: str
    config: TaskInput
    expiryTime: int
    payment: int


@dataclass(frozen=True)
class Progress:
    """How far the publishing of many tasks is; `published` and `failed` add up to what is done."""

    total: int
    published: int
    failed: int


@dataclass(frozen=True)
class Response:
    """One provider's answer to a task, as the chain holds it.

    `data` is normally the URL of the result, `payment` (wei) the price that the provider asks.
    """

    address: str
    task: str
    provider: str
    data: str
    payment: int
    status: int
    timestamp: int
    confirmed: bool

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class ConfirmedResponse:
    """The confirmed response of a task: `data` is the management API's whole `data` object."""

    address: str
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return {"address": self.address, "data": self.data}


@dataclass(frozen=True)
class SourceParams:
    """A source's terms as the contracts hold them. Amounts in wei, times in Unix seconds.

    `last_update_time` is stamped by the contract, whatever is given.
    """

    client: str
    image_metadata_url: str
    image_environments: Environment
    min_payment: int
    min_available_lockup: int
    max_expiry_duration: int
    privacy_enabled: bool = False
    optional_params_url: str = ""
    delivery_method: DeliveryMethod = DeliveryMethod.MANUAL_CONFIRMATION
    last_update_time: int = 0

    @classmethod
    def of(cls, values: Sequence[Any]) -> SourceParams:
        """The terms from the contracts' own order; `ValueError` for a number outside its enumeration."""
        return cls(
            client=values[0],
            image_metadata_url=values[1],
            image_environments=Environment(values[2]),
            min_payment=values[3],
            min_available_lockup=values[4],
            max_expiry_duration=values[5],
            privacy_enabled=values[6],
            optional_params_url=values[7],
            delivery_method=DeliveryMethod(values[8]),
            last_update_time=values[9],
        )


@dataclass(frozen=True)
class TaskParams:
    """A task's terms as the contracts hold them: `config` is a URL, `payment` is in wei."""

    source: str
    config: str
    expiry_time: int
    payment: int


@dataclass(frozen=True)
class ResponseParams:
    """A response as the contracts hold it: `data` is normally a URL, `payment` the price in wei."""

    task: str
    provider: str
    data: str
    payment: int


@dataclass(frozen=True)
class Attempt:
    """A provider that took a task on: the price that it suggested is in the `Attempted` event."""

    provider: str
    timestamp: int


@dataclass(frozen=True)
class SourceSnapshot:
    """A source as it was at one block. Payments and lockups in wei, durations in seconds."""

    address: str
    client: str
    metadata_url: str
    environments: Environment
    min_payment: int
    min_available_lockup: int
    max_expiry_duration: int
    delivery_method: DeliveryMethod
    status: SourceStatus
    task_count: int
    registrant_count: int
    last_update_time: int
    privacy_enabled: bool
    optional_params_url: str


@dataclass(frozen=True)
class TaskSnapshot:
    """A task as it was at one block; `winning_provider` is None until there is one."""

    address: str
    client: str
    source: str
    config_url: str
    expiry_time: int
    payment: int
    delivery_method: DeliveryMethod
    status: TaskStatus
    attempt_count: int
    winning_provider: str | None


@dataclass(frozen=True)
class VaultAccount:
    """What the Vault holds for an account, in wei; `unbonding_matures` in Unix seconds, 0 when none."""

    address: str
    balance: int
    lockup: int
    unbonding: int
    unbonding_matures: int
    sanctioned: int
    earned: int
    whitelisted: bool
    eligible: bool


@dataclass(frozen=True)
class ProviderSnapshot:
    """A provider as it was at one block; `master` is None while it is not paired."""

    address: str
    master: str | None
    base_data: str
    live_data: str
    vault: VaultAccount
    sources: tuple[str, ...]  # where it is registered


@dataclass(frozen=True)
class MasterSnapshot:
    """A master as it was at one block; `provider` is None while it is not paired."""

    address: str
    provider: str | None
    default_agent_disabled: bool
    vault: VaultAccount
