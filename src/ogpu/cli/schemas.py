"""What the files of commands may hold. Field names are those of `--json` where there is the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ogpu.cli.amounts import LARGEST, amount_of, duration_of
from ogpu.errors import InvalidInput
from ogpu.rpc.codec import checked_address


def _reason(error: InvalidInput) -> str:
    """An error's text without the field, which the list of mistakes has before it."""
    text = error.message.partition(": ")[2] or error.message
    return f"{text} {error.hint}".strip()


def _amount(value: object) -> int:
    if isinstance(value, float):
        value = repr(value)  # as it was written, or near: it lacks a unit
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("is not an amount. Write it as 0.01ogpu, 5gwei or 100wei, or as whole wei.")
    if isinstance(value, int):
        if 0 <= value <= LARGEST:
            return value
        raise ValueError("must be from 0 to 2**256 - 1 wei.")
    try:
        return amount_of(value, "")
    except InvalidInput as error:
        raise ValueError(_reason(error)) from error


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value < 0):
        raise ValueError("is not a duration. Write it as 90s, 15m, 2h, 3d, 1h30m, or in seconds.")
    try:
        return value if isinstance(value, int) else duration_of(value, "")
    except InvalidInput as error:
        raise ValueError(_reason(error)) from error


def _address(value: object) -> str:
    try:
        return checked_address(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


Amount = Annotated[int, BeforeValidator(_amount)]
Duration = Annotated[int, BeforeValidator(_duration)]
Address = Annotated[str, BeforeValidator(_address)]


class Strict(BaseModel):
    """Unknown fields are refused, and nothing is made of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Images(Strict):
    """The docker-compose URL for each kind of hardware."""

    cpu: str = ""
    nvidia: str = ""
    amd: str = ""


class SourceFile(Strict):
    """A service to publish, or its new terms."""

    name: str
    description: str = ""
    logo_url: str = ""
    images: Images
    min_payment: Amount
    min_available_lockup: Amount = 0
    max_expiry_duration: Duration
    delivery_method: Literal["manual_confirmation", "first_response"] = "manual_confirmation"


class TaskFile(Strict):
    """A call of a service."""

    source: Address
    function: str = Field(min_length=1)
    data: dict[str, Any]
    payment: Amount
    expires_in: Duration | None = None  # an hour, or less when the source says so
    extra: dict[str, Any] = {}  # further top-level fields of the task's config

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in ("function_name", "data"):
            if name in extra:
                raise ValueError(f"{name} is not an extra field.")
        return extra


class MapFile(Strict):
    """Many calls of one function of a service, one an item."""

    source: Address
    function: str = Field(min_length=1)
    items: list[dict[str, Any]] = Field(min_length=1)
    payment: Amount
    expires_in: Duration | None = None
