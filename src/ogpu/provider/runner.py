"""What the provider needs of whatever runs handlers: a pool of processes, or a source's container."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ogpu.errors import HandlerFailed, HandlerInputInvalid, NotJSON
from ogpu.safejson import parse_json

MAX_JSON = 64 * 1024 * 1024  # bytes of a task's data, and of a result


class Runner(Protocol):
    """Runs a function on a task's data; what does not give a result raises a HandlerError."""

    @property
    def functions(self) -> tuple[str, ...] | None:
        """The functions that can be run, sorted; None when that is not known."""

    async def start(self) -> None:
        """Get ready to run."""

    async def run(self, function_name: str, task_address: str, data: dict[str, Any]) -> dict[str, Any]:
        """The function's result, a JSON object."""

    async def close(self) -> None:
        """Stop what runs and leave nothing behind."""


def encoded(function: str, data: dict[str, Any]) -> bytes:
    """A task's data as JSON; NotJSON when it is none, HandlerInputInvalid when it is too large."""
    try:
        body = json.dumps(data, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJSON(f"The data for {function!r} cannot be written as JSON: {error}.") from error
    if len(body) > MAX_JSON:
        raise HandlerInputInvalid(
            f"The data for {function!r} is {len(body)} bytes of JSON; the limit is {MAX_JSON}.",
            facts={"function": function, "size": len(body), "limit": MAX_JSON},
        )
    return body


def decoded(function: str, result: bytes) -> dict[str, Any]:
    """A handler's result, which is a JSON object, or HandlerFailed."""
    try:
        value = parse_json(result)
    except ValueError as error:
        raise HandlerFailed(
            f"The result of {function!r} is not JSON: {error}.", facts={"function": function}
        ) from error
    if not isinstance(value, dict):
        raise HandlerFailed(
            f"The result of {function!r} is not a JSON object but a {type(value).__name__}.",
            facts={"function": function},
        )
    return value
