"""Secrets of the tests, which are looked for wherever a secret could show up.

The networks' private keys, and a token in the URLs of their nodes, must be in no error, no log record and no
output of any test. `conftest` has all of it looked through, in every test.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ogpu.errors import OGPUError

TOKEN = "cab0d1e5ca9a7e0f"  # in URLs of nodes
MOST_LINKS = 50  # of a chain of errors

_BASIC = b64encode(f"{TOKEN}:{TOKEN}".encode()).decode()  # as HTTP sends a URL's user and password
_secrets: set[str] = {TOKEN, _BASIC.rstrip("=").lower()}
_leaks: list[str] = []


def secret_url(url: str) -> str:
    """The URL of a node with the token as its password and in its query, as providers of nodes have it."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(netloc=f"{TOKEN}:{TOKEN}@{parts.netloc}", path="/", query=f"apikey={TOKEN}")
    )


def keep_secret(*keys: str) -> None:
    """Look for these private keys from now on."""
    _secrets.update(key.removeprefix("0x").lower() for key in keys)


def leaks() -> list[str]:
    """Where a secret was seen since this was asked last."""
    found, _leaks[:] = list(_leaks), []
    return found


def look(text: str, where: str) -> None:
    """Note when a text holds a secret."""
    lower = text.lower()
    for secret in _secrets:
        if secret in lower:
            start = max(0, lower.index(secret) - 60)
            _leaks.append(f"{where}: …{text[start : start + 60 + len(secret)]!r}")


def texts_of(error: BaseException) -> Iterator[str]:
    """All that an error and those behind it would show, whoever shows them."""
    seen: list[BaseException] = []
    rest: list[BaseException | None] = [error]
    while rest and len(seen) < MOST_LINKS:
        one = rest.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield from _own_texts(one)
        rest += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            rest += one.exceptions


def _own_texts(error: BaseException) -> Iterator[str]:
    for tell in (str, repr):
        try:
            yield tell(error)
        except Exception as resisting:  # noqa: BLE001 - a test's own object may refuse to be shown
            yield type(resisting).__name__
    yield from map(str, getattr(error, "__notes__", ()))
    if isinstance(error, OGPUError):
        yield repr(error.facts)
        yield error.hint


def look_at(error: BaseException, where: str) -> None:
    """Note when an error, or one behind it, holds a secret."""
    for text in texts_of(error):
        look(text, where)


class _Watcher(logging.Handler):
    """Looks at each log record, and at the error that it carries."""

    def emit(self, record: logging.LogRecord) -> None:
        look(record.getMessage(), f"a log record of {record.name}")
        if record.exc_info and record.exc_info[1]:
            look_at(record.exc_info[1], f"an error in a log record of {record.name}")


def watch() -> Callable[[], None]:
    """Look at every error of the library, log record and child's output; what is returned ends it."""
    stack = contextlib.ExitStack()
    for part in (_errors_watched(), _logs_watched(), _children_watched()):
        stack.enter_context(part)
    return stack.close


@contextlib.contextmanager
def _logs_watched() -> Iterator[None]:
    handler, root, own = _Watcher(), logging.getLogger(), logging.getLogger("ogpu")
    root.addHandler(handler)
    own.setLevel(logging.DEBUG)
    yield
    own.setLevel(logging.NOTSET)
    root.removeHandler(handler)


@contextlib.contextmanager
def _errors_watched() -> Iterator[None]:
    """Errors as they are made, with those that they are made of: most are caught and never shown."""
    original = OGPUError.__init__

    def init(self: OGPUError, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        look_at(self, f"the error {type(self).__name__}")
        if behind := sys.exc_info()[1]:
            look_at(behind, f"the error behind {type(self).__name__}")

    OGPUError.__init__ = init  # type: ignore[method-assign]
    yield
    OGPUError.__init__ = original  # type: ignore[method-assign]


@contextlib.contextmanager
def _children_watched() -> Iterator[None]:
    """What children say that a test reads through a pipe."""
    original = subprocess.Popen.communicate

    def communicate(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        for said in found:
            look(_text(said), f"the output of {_command(self.args)}")
        return found

    subprocess.Popen.communicate = communicate  # type: ignore[method-assign]
    yield
    subprocess.Popen.communicate = original  # type: ignore[method-assign]


def _text(said: Any) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def _command(arguments: Any) -> str:
    words: Iterable[Any] = arguments if isinstance(arguments, list | tuple) else [arguments]
    return " ".join(map(str, words))[:80]
