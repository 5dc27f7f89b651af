"""What can be asked: the parameters of each list, as the OpenAPI document describes them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ogpu.rpc.codec import checksum
from ogpu.types import ResponseStatus, SourceStatus, TaskStatus
from ogpu.web.paging import DEFAULT_SIZE, MAX_CURSOR, MAX_SIZE, Paging

ADDRESS = "^0x[0-9a-fA-F]{40}$"
LARGEST = 2**53 - 1

Nothing = SkipJsonSchema[None]  # a parameter is left out, and never null

SomeAddress = Annotated[str, Field(pattern=ADDRESS), AfterValidator(checksum)]
AddressInPath = Annotated[
    str, Path(pattern=ADDRESS, description="An address; in any spelling."), AfterValidator(checksum)
]
NumberInPath = Annotated[int, Path(ge=0, le=LARGEST)]
SomeHash = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
Kind = Annotated[str, Field(pattern="^[A-Za-z]{1,32}$", description="An event's name.")]
Time = Annotated[int, Field(ge=0, le=LARGEST, description="Unix seconds.")]
Number = Annotated[int, Field(ge=0, le=LARGEST)]


class Asked(BaseModel):
    """What every list takes; an unknown parameter is refused, since a filter that is not heeded misleads."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | Nothing = Field(
        None,
        min_length=1,
        max_length=MAX_CURSOR,
        description="`next` of the page before; fits only the same filters and order.",
        json_schema_extra={"format": "cursor"},
    )
    limit: int = Field(
        DEFAULT_SIZE, ge=1, le=MAX_SIZE, description="At most so many rows; a server may give fewer."
    )

    def given(self, largest: int) -> dict[str, Any]:
        """The arguments of the query function, for pages of at most so many rows."""
        filters = {name: getattr(self, name) for name in type(self).model_fields}
        rows = min(filters.pop("limit"), largest)
        paging = Paging(filters.pop("cursor"), rows, filters.pop("sort", None))
        return {**filters, "paging": paging}


class TasksAsked(Asked):
    """Which tasks."""

    source: SomeAddress | Nothing = None
    client: SomeAddress | Nothing = None
    provider: SomeAddress | Nothing = Field(None, description="The one that was paid.")
    status: Literal["NEW", "ATTEMPTED", "RESPONDED", "CANCELED", "EXPIRED", "FINALIZED"] | Nothing = None
    since: Time | Nothing = Field(None, description="Published at this Unix second or later.")
    before: Time | Nothing = Field(None, description="Published before this Unix second.")
    sort: Literal["published", "-published", "payment", "-payment"] = "-published"

    def given(self, largest: int) -> dict[str, Any]:
        """The status as the index has it."""
        return {**super().given(largest), "status": None if self.status is None else TaskStatus[self.status]}


class SourcesAsked(Asked):
    """Which sources."""

    client: SomeAddress | Nothing = None
    status: Literal["ACTIVE", "INACTIVE"] | Nothing = None
    sort: Literal["published", "-published", "tasks", "-tasks"] = "-published"

    def given(self, largest: int) -> dict[str, Any]:
        """The status as the index has it."""
        return {
            **super().given(largest),
            "status": None if self.status is None else SourceStatus[self.status],
        }


class RegistrationsAsked(Asked):
    """Which registrations."""

    source: SomeAddress | Nothing = None
    provider: SomeAddress | Nothing = None
    sort: Literal["registered", "-registered"] = "-registered"


class AttemptsAsked(Asked):
    """Which attempts."""

    task: SomeAddress | Nothing = None
    provider: SomeAddress | Nothing = None
    sort: Literal["attempted", "-attempted"] = "-attempted"


class ResponsesAsked(Asked):
    """Which responses."""

    task: SomeAddress | Nothing = None
    source: SomeAddress | Nothing = None
    provider: SomeAddress | Nothing = None
    status: Literal["SUBMITTED", "CONFIRMED"] | Nothing = None
    sort: Literal["submitted", "-submitted"] = "-submitted"

    def given(self, largest: int) -> dict[str, Any]:
        """The status as the index has it."""
        return {
            **super().given(largest),
            "status": None if self.status is None else ResponseStatus[self.status],
        }


class PaymentsAsked(Asked):
    """Which payments."""

    client: SomeAddress | Nothing = None
    provider: SomeAddress | Nothing = None
    state: Literal["held", "paid", "returned"] | Nothing = None
    sort: Literal["held", "-held"] = "-held"


class ProvidersAsked(Asked):
    """Which providers."""

    master: SomeAddress | Nothing = None
    paired: bool | Nothing = Field(None, description="Whether it has a master.")
    sort: Literal["earned", "-earned", "active", "-active", "seen", "-seen"] = "-earned"


class MastersAsked(Asked):
    """Which masters."""

    provider: SomeAddress | Nothing = None
    sort: Literal["seen", "-seen"] = "-seen"


class AgentsAsked(Asked):
    """Which agents."""

    account: SomeAddress | Nothing = None
    agent: SomeAddress | Nothing = None
    active: bool | Nothing = None
    sort: Literal["account", "-account"] = "account"


class AccountsAsked(Asked):
    """Which accounts."""

    sort: Literal["seen", "-seen"] = "-seen"


class MovementsAsked(Asked):
    """Which movements of coin."""

    account: SomeAddress | Nothing = None
    kind: Kind | Nothing = None
    sort: Literal["moved", "-moved"] = "-moved"


class EventsAsked(Asked):
    """Which events."""

    kind: Kind | Nothing = None
    source: SomeAddress | Nothing = None
    task: SomeAddress | Nothing = None
    account: SomeAddress | Nothing = Field(None, description="Whose doing it is, or whom it concerns.")
    transaction: SomeHash | Nothing = None
    block: Number | Nothing = None
    since: Number | Nothing = Field(None, description="In this block or a later one.")
    before: Number | Nothing = Field(None, description="Before this block.")
    sort: Literal["happened", "-happened"] = "-happened"


class BlocksAsked(Asked):
    """Which blocks."""

    since: Number | Nothing = Field(None, description="From this number on.")
    before: Number | Nothing = Field(None, description="Before this number.")
    sort: Literal["number", "-number"] = "-number"


class ReorganisationsAsked(Asked):
    """Which reorganisations."""

    sort: Literal["seen", "-seen"] = "-seen"


def _whole(value: object) -> object:
    """What a URL has is text, which a choice of numbers does not take."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{2,5}", value) else value


class StatisticsAsked(BaseModel):
    """Which intervals of time; at most the newest thousand are told."""

    model_config = ConfigDict(extra="forbid")

    width: Annotated[Literal[60, 3600, 86400], BeforeValidator(_whole)] = Field(
        3600, description="Seconds of an interval."
    )
    since: Time | Nothing = Field(None, description="Intervals that begin at this Unix second or later.")
    before: Time | Nothing = Field(None, description="Intervals that begin before this Unix second.")


class SearchAsked(BaseModel):
    """What is searched for."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(
        min_length=1,
        max_length=80,
        description="An address, a hash of a transaction or block, a block's number, or the beginning "
        "(0x and 4 digits or more) of an address or a transaction's hash.",
    )
