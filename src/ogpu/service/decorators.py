"""`@expose()` and `@init()`: what is wrong with a function is said when its file is loaded."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel

from ogpu.errors import HandlerSignatureError
from ogpu.service.registry import Handler, registry

Function = TypeVar("Function", bound=Callable[..., Any])


def expose(timeout: float | None = None) -> Callable[[Function], Function]:
    """Expose a function of one pydantic model to another; `timeout` is in seconds, None means no own one."""
    if callable(timeout):
        raise _refused(timeout, "write @expose() with parentheses")

    def decorate(function: Function) -> Function:
        registry.add(read_handler(function, timeout))
        return function

    return decorate


def init() -> Callable[[Function], Function]:
    """Run a function of no arguments once, before the first task; one for each file."""

    def decorate(function: Function) -> Function:
        count = len(inspect.signature(function).parameters)
        if count:
            raise _refused(function, f"an @init() function takes no parameters, this one takes {count}")
        registry.add_init(_place(function)[0], function)
        return function

    return decorate


def read_handler(function: Callable[..., Any], timeout: float | None) -> Handler:
    """Read a handler off its signature, or refuse it with HandlerSignatureError."""
    if not inspect.isroutine(function):
        raise _refused(function, "a handler is a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _refused(function, "it is a generator; a handler returns one result")
    parameter = _one_parameter(function)
    hints = _hints(function)
    file, line = _place(function)
    return Handler(
        name=function.__name__,
        function=function,
        input=_model(function, hints, parameter, f"the parameter {parameter!r}"),
        output=_model(function, hints, "return", "the return type"),
        timeout=_seconds(function, timeout),
        file=file,
        line=line,
    )


def _one_parameter(function: Callable[..., Any]) -> str:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        raise _refused(
            function, f"a handler takes one parameter, the input model; this one takes {len(parameters)}"
        )
    one = parameters[0]
    if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
        raise _refused(function, f"the parameter {one.name!r} is given by position; this one is {one}")
    return one.name


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise _refused(function, f"its annotations cannot be read: {error}") from error


def _model(function: Callable[..., Any], hints: dict[str, Any], key: str, what: str) -> type[BaseModel]:
    if key not in hints:
        raise _refused(function, f"{what} has no annotation; it is a subclass of pydantic.BaseModel")
    annotation = hints[key]
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    shown = getattr(annotation, "__name__", None) or repr(annotation)
    raise _refused(function, f"{what} is {shown}, which is not a subclass of pydantic.BaseModel")


def _seconds(function: Callable[..., Any], timeout: float | None) -> float | None:
    if timeout is None:
        return None
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if number and math.isfinite(timeout) and timeout > 0:
        return float(timeout)
    raise _refused(function, f"timeout is a positive number of seconds, not {timeout!r}")


def _place(function: Callable[..., Any]) -> tuple[str, int]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else (getattr(function, "__module__", "?"), 0)


def _refused(function: Any, reason: str) -> HandlerSignatureError:
    name = getattr(function, "__name__", None) or repr(function)
    file, line = _place(function) if callable(function) else ("?", 0)
    return HandlerSignatureError(
        f"The function {name!r} ({file}:{line}) cannot be used: {reason}.",
        facts={"function": name, "file": file, "line": line, "reason": reason},
    )
