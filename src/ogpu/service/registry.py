"""The handlers of this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ogpu.errors import HandlerMissing, HandlerSignatureError


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of one pydantic model to another, and where it is written."""

    name: str
    function: Callable[[Any], Any]
    input: type[BaseModel]
    output: type[BaseModel]
    timeout: float | None  # seconds
    file: str
    line: int

    @property
    def place(self) -> str:
        """File and line, as in a traceback."""
        return f"{self.file}:{self.line}"


class Registry:
    """Handlers by name and, for each file, at most one function that prepares it."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.inits: dict[str, Callable[[], Any]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all handlers, sorted."""
        return tuple(sorted(self.handlers))

    def add(self, handler: Handler) -> None:
        """Enter a handler; a name can be used once."""
        other = self.handlers.get(handler.name)
        if other is not None:
            raise HandlerSignatureError(
                f"Two handlers are named {handler.name!r}: {other.place} and {handler.place}.",
                hint="A task names its handler, so give one of them another name.",
                facts={"function": handler.name},
            )
        self.handlers[handler.name] = handler

    def add_init(self, file: str, function: Callable[[], Any]) -> None:
        """Enter the function that prepares a file's handlers."""
        if file in self.inits:
            raise HandlerSignatureError(
                f"{file} has two @init() functions.", hint="Put both into one.", facts={"file": file}
            )
        self.inits[file] = function

    def get(self, name: str) -> Handler:
        """The handler of that name, or HandlerMissing that names the known ones."""
        try:
            return self.handlers[name]
        except KeyError:
            raise missing(name, self.names) from None


def missing(name: str, known: tuple[str, ...]) -> HandlerMissing:
    """The error for a function name that no handler has."""
    return HandlerMissing(
        f"No handler is named {name[:200]!r}; known: {', '.join(known) or 'none'}.",
        facts={"function": name, "functions": list(known)},
    )


registry = Registry()  # one a process: the decorators of a service file have no object to hang on
