"""What the index tells, as frozen values: the page shows them, and the API writes them as JSON.

The annotations say how: amounts in wei are decimal strings there, as JSON readers round large numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, WithJsonSchema

from ogpu.types import DeliveryMethod, Environment, ResponseStatus, SourceStatus, TaskStatus

T = TypeVar("T")

LARGEST_NUMBER = 2**53 - 1  # that every JSON reader takes exactly


class Decimal:
    """Marks a whole number that is written as a decimal string."""


class Clamped:
    """Marks a whole number that anybody may have made up; above `LARGEST_NUMBER` that is written."""


def _text(pattern: str, description: str, example: str) -> WithJsonSchema:
    told = {"type": "string", "pattern": pattern, "description": description, "examples": [example]}
    return WithJsonSchema(told)


def _names(kind: type[Any], description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "enum": [each.name for each in kind], "description": description}
    )


Wei = Annotated[int, Decimal, _text("^[0-9]{1,78}$", "An amount in wei, as a decimal string.", "1500000")]
Seconds = Annotated[int, Clamped, Field(ge=0, le=LARGEST_NUMBER, description="A duration in seconds.")]
Time = Annotated[int, Clamped, Field(ge=0, le=LARGEST_NUMBER, description="Unix seconds.")]
Count = Annotated[int, Field(ge=0)]
Address = Annotated[
    str,
    _text(
        "^0x[0-9a-fA-F]{40}$", "An address, in EIP-55 spelling.", "0x52908400098527886E0F7030069857D2E4169EE7"
    ),
]
Hash = Annotated[str, _text("^0x[0-9a-f]{64}$", "A hash of a block or a transaction.", "0x" + "5e" * 32)]
TaskStatusName = Annotated[TaskStatus, _names(TaskStatus, "Where the task is in its life.")]
SourceStatusName = Annotated[SourceStatus, _names(SourceStatus, "Whether the source takes tasks.")]
ResponseStatusName = Annotated[ResponseStatus, _names(ResponseStatus, "Whether the response was confirmed.")]
DeliveryName = Annotated[DeliveryMethod, _names(DeliveryMethod, "How a task gets its final response.")]
EnvironmentNames = Annotated[
    Environment,
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "enum": [each.name for each in Environment]},
            "description": "The kinds of hardware.",
        }
    ),
]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` asks for those after it, and is null at the end."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Position:
    """How far the index is; `changes` grows with everything that is written to it."""

    chain_id: int
    number: Annotated[int, Field(description="The last block that is in the index.")]
    hash: Hash
    timestamp: Time
    finalized: Annotated[int, Field(description="Blocks up to it stay.")]
    head: Annotated[int, Field(description="The newest block that the node told the indexer.")]
    changes: Count


@dataclass(frozen=True, slots=True)
class Moment:
    """When and where something happened: block, place of its log in the block, time, transaction."""

    block: Count
    index: Count
    at: Time
    tx: Hash


@dataclass(frozen=True, slots=True)
class Document:
    """What the index knows of content that an item links to."""

    cid: str
    state: Annotated[str, Field(description='"wanted", "kept", "failed" (to be tried again) or "refused".')]
    size: Annotated[int | None, Field(description="Bytes; null while it is not kept.")]
    error: Annotated[str | None, Field(description="Why it is not kept.")]


@dataclass(frozen=True, slots=True)
class Source:
    """A service that was published."""

    address: Address
    client: Address
    metadata_url: str
    environments: EnvironmentNames
    min_payment: Wei
    min_available_lockup: Wei
    max_expiry_duration: Seconds
    privacy_enabled: bool
    optional_params_url: str
    delivery_method: DeliveryName
    status: SourceStatusName
    last_update_time: Time
    published: Moment
    registrant_count: Annotated[int, Field(ge=0, description="Registrations; that one ended no event says.")]
    task_count: Count
    finalized_count: Count
    paid: Wei


@dataclass(frozen=True, slots=True)
class Task:
    """One call of a source."""

    address: Address
    source: Address
    client: Address
    config_url: str
    expiry_time: Time
    payment: Wei
    delivery_method: DeliveryName
    status: TaskStatusName
    attempt_count: Count
    response_count: Count
    winning_provider: Address | None
    confirmed_response: Address | None
    paid: Wei | None
    published: Moment
    attempted: Annotated[Moment | None, Field(description="The first attempt.")]
    responded: Annotated[Moment | None, Field(description="The first response.")]
    settled: Annotated[Moment | None, Field(description="Finalized, canceled or expired.")]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A provider took a task on, for a price."""

    task: Address
    provider: Address
    position: Annotated[int, Field(ge=0, description="In the task, from 0.")]
    suggested_payment: Wei
    attempted: Moment


@dataclass(frozen=True, slots=True)
class Response:
    """A provider's answer; `data` is what it gave, normally a link, and `payment` what it asks."""

    address: Address
    task: Address
    source: Address
    provider: Address
    data: str
    payment: Wei
    status: ResponseStatusName
    paid: Wei | None
    submitted: Moment
    confirmed: Moment | None


@dataclass(frozen=True, slots=True)
class Payment:
    """A task's payment: held, then paid or given back."""

    task: Address
    source: Address
    client: Address
    provider: Address | None
    state: Annotated[str, Field(description='"held", "paid" or "returned".')]
    amount: Annotated[Wei, Field(description="What the client gave, in wei.")]
    paid: Wei
    returned: Wei
    held: Moment
    settled: Moment | None


@dataclass(frozen=True, slots=True)
class Registration:
    """A provider runs a source's service."""

    source: Address
    provider: Address
    registrant_id: Count
    environment: EnvironmentNames
    registered: Moment


@dataclass(frozen=True, slots=True)
class Provider:
    """An account that answers tasks."""

    address: Address
    master: Annotated[Address | None, Field(description="Null when it is not paired.")]
    announced_master: Address | None
    base_data: str
    live_data: str
    seen: Moment
    active_at: Annotated[Time, Field(description="Its last attempt, response or registration.")]
    registration_count: Count
    attempt_count: Count
    response_count: Count
    confirmed_count: Count
    earned: Wei
    answer_seconds: Annotated[int, Field(description="From attempt to response, summed over its responses.")]


@dataclass(frozen=True, slots=True)
class Master:
    """An account that controls a provider without its key."""

    address: Address
    provider: Annotated[Address | None, Field(description="Null when it is not paired.")]
    announced_provider: Address | None
    default_agent_disabled: bool
    seen: Moment


@dataclass(frozen=True, slots=True)
class Agent:
    """An address that may act for an account, or once might."""

    account: Address
    agent: Address
    active: bool
    set: Moment


@dataclass(frozen=True, slots=True)
class Account:
    """Whoever the Vault knows, with the Vault's own figures."""

    address: Address
    balance: Wei
    lockup: Wei
    unbonding: Wei
    unbonding_matures: Annotated[Time, Field(description="Unix seconds; 0 when nothing unbonds.")]
    sanctioned: Wei
    earned: Wei
    source_count: Count
    task_count: Count
    spent: Wei
    seen: Moment


@dataclass(frozen=True, slots=True)
class Movement:
    """Coin that moved in the Vault; `kind` is the event's name."""

    account: Address
    kind: str
    amount: Wei
    moved: Moment


@dataclass(frozen=True, slots=True)
class Event:
    """A protocol event; `arguments` are all of its own, amounts in wei as decimal strings."""

    block_number: Count
    log_index: Count
    transaction_hash: Hash
    at: Time
    contract: str
    kind: str
    source: Address | None
    task: Address | None
    response: Address | None
    account: Address | None
    other: Address | None
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """A block with events, or one that is not final."""

    number: Count
    hash: Hash
    parent_hash: Hash
    timestamp: Time
    event_count: Count


@dataclass(frozen=True, slots=True)
class Dropped:
    """A block that a reorganisation dropped."""

    number: Count
    hash: Hash


@dataclass(frozen=True, slots=True)
class Reorganisation:
    """The chain dropped blocks after `fork_number`, newest first."""

    id: int
    seen_at: Time
    fork_number: Count
    fork_hash: Hash
    depth: Count
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all; `new` to `finalized` say how many tasks are so now."""

    events: Count
    sources: Count
    active_sources: Count
    tasks: Count
    new: Count
    attempted: Count
    responded: Count
    canceled: Count
    expired: Count
    finalized: Count
    responses: Count
    providers: Count
    paid: Wei
    held: Wei
    returned: Wei


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened in an interval of time; `first_response_bins` counts waits by `latency_bins`."""

    start: Time
    published: Count
    attempted: Annotated[int, Field(ge=0, description="Attempts.")]
    responded: Annotated[int, Field(ge=0, description="Responses.")]
    finalized: Count
    canceled: Count
    expired: Count
    active_providers: Count
    paid: Wei
    returned: Wei
    first_response_bins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums over all, and what happened when; intervals in which nothing did are left out."""

    totals: Totals
    width: Annotated[int, Field(description="Seconds of an interval.")]
    latency_bins: Annotated[
        tuple[int, ...], Field(description="Seconds; a count of an interval is for waits up to it.")
    ]
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class TaskLife:
    """A task with all that came of it; of attempts and responses the first hundred."""

    task: Task
    attempts: tuple[Attempt, ...]
    responses: tuple[Response, ...]
    payment: Payment | None


@dataclass(frozen=True, slots=True)
class AccountLife:
    """All that an address is on the network; what it is not is null."""

    address: Address
    account: Account | None
    provider: Provider | None
    master: Master | None
    agents: Annotated[tuple[Agent, ...], Field(description="Who may act for it, or might.")]
    agent_of: Annotated[tuple[Agent, ...], Field(description="For whom it may act, or might.")]


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a search found: what it is, and the address, hash or number by which it is asked for."""

    kind: Annotated[
        str, Field(description="task, source, response, provider, master, account, transaction or block.")
    ]
    id: str
