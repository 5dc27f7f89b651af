"""Calling what a service's author wrote: whatever it raises becomes one of our errors, with its place."""

from __future__ import annotations

import inspect
import math
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from ogpu.errors import HandlerError, HandlerFailed, HandlerInputInvalid
from ogpu.service.registry import Handler
from ogpu.text import printable


def parse_input(handler: Handler, body: bytes) -> BaseModel:
    """The input model of a task's data; HandlerInputInvalid says what does not fit."""
    with reporting(handler.file, f"Checking the input of {handler.name!r}", HandlerFailed):
        try:
            return handler.input.model_validate_json(body)
        except ValidationError as error:
            raise _input_invalid(handler, error) from error


def call(handler: Handler, data: BaseModel) -> bytes:
    """Run a handler; gives its result as JSON, or HandlerFailed."""
    with reporting(handler.file, f"The handler {handler.name!r}", HandlerFailed):
        result = finished(handler.function(data))
        if not isinstance(result, handler.output):
            raise HandlerFailed(
                f"The handler {handler.name!r} returned {type(result).__name__}, "
                f"not the {handler.output.__name__} that it declares.",
                facts={"function": handler.name, "returned": type(result).__name__},
            )
    with reporting(
        handler.file, f"The result of {handler.name!r} cannot be written as JSON: it", HandlerFailed
    ):
        if "ser_json_inf_nan" not in result.model_config and _holds_non_finite(result.model_dump()):
            raise ValueError("holds infinity or NaN, which pydantic would write as null")
        return result.model_dump_json(warnings="error").encode()  # fields that are not of their type


def _holds_non_finite(value: Any) -> bool:
    """Whether there is infinity or NaN anywhere in a dumped model."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_holds_non_finite, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_holds_non_finite, value))


def finished(result: Any) -> Any:
    """The result itself, or what a coroutine gives when it is run to its end."""
    if not inspect.iscoroutine(result):
        return result
    import asyncio  # an async handler is the exception, and the import is a third of a worker's start

    return asyncio.run(result)


def run_init(file: str, function: Callable[[], Any], error: type[HandlerError]) -> None:
    """Run a file's @init() function."""
    with reporting(file, f"The @init() function {function.__name__!r}", error):
        finished(function())


@contextmanager
def reporting(file: str, what: str, error: type[HandlerError]) -> Iterator[None]:
    """Turn what the code in `file` raises into our `error`, with the last lines of that file."""
    try:
        yield
    except HandlerError:
        raise
    except Exception as cause:
        raised = _described(cause)
        lines = _own_lines(cause, file)
        where = f" ({lines[-1]})" if lines else ""
        raise error(f"{what} raised {raised}{where}", facts={"raised": raised, "traceback": lines}) from cause


@contextmanager
def original_process_only() -> Iterator[None]:
    """End a process that other people's code forked and that comes back out of it, as the original does."""
    original = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != original:
            os._exit(0)


def _described(error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return printable(f"SyntaxError: {error.msg} ({os.path.basename(error.filename)}:{error.lineno})")
    return printable(" | ".join("".join(traceback.format_exception_only(error)).split("\n")[:-1]))


def _own_lines(error: BaseException, file: str, count: int = 3) -> list[str]:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return [
        printable(f"{os.path.basename(file)}:{f.lineno} in {f.name}: {f.line or ''}", 300)
        for f in frames[-count:]
    ]


def _input_invalid(handler: Handler, error: ValidationError) -> HandlerInputInvalid:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [
        {
            "loc": [printable(str(part), 100) for part in detail["loc"]],
            "msg": printable(detail["msg"], 300),
            "type": detail["type"],
        }
        for detail in details[:50]
    ]
    shown = "; ".join(f"{'.'.join(r['loc']) or 'data'}: {r['msg']}" for r in reasons[:5])
    more = f"; and {len(details) - 5} more" if len(details) > 5 else ""
    return HandlerInputInvalid(
        f"The data does not fit the handler {handler.name!r}: {printable(shown)}{more}.",
        facts={"function": handler.name, "reasons": reasons},
    )
