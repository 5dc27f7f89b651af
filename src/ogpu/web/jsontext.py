"""Values as JSON: amounts as decimal strings, enumerations by their names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import orjson

from ogpu.web.values import LARGEST_NUMBER, Clamped, Decimal

Write = Callable[[Any], Any]


def written(value: Any) -> bytes:
    """The JSON of a value, a dictionary of values, or a tuple of them."""
    return orjson.dumps(plain(value))


def plain(value: Any) -> Any:
    """The same as what JSON has."""
    kind: type[Any] = type(value)
    if is_dataclass(kind):
        return {
            name: getattr(value, name) if write is None else write(getattr(value, name))
            for name, write in _writers(kind)
        }
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return _named(value) if isinstance(value, Enum) else value


@functools.cache
def _writers(kind: type[Any]) -> tuple[tuple[str, Write | None], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, _writer(hints[field.name])) for field in fields(kind))


def _writer(hint: Any) -> Write | None:
    """How a field is written; None when JSON has it as it is."""
    marks = _marks(hint)
    if Decimal in marks:
        return _decimal
    if Clamped in marks:
        return _clamped
    return None if _kinds(hint) <= {str, int, bool, type(None)} else plain


def _marks(hint: Any) -> set[Any]:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return _marks(inner) | {mark for mark in marks if isinstance(mark, type)}
    return {mark for each in get_args(hint) if type(None) in get_args(hint) for mark in _marks(each)}


def _kinds(hint: Any) -> set[Any]:
    if get_origin(hint) is Annotated:
        return _kinds(get_args(hint)[0])
    if type(None) in get_args(hint):
        return {kind for each in get_args(hint) for kind in _kinds(each)}
    return {hint}


def _decimal(value: int | None) -> str | None:
    return None if value is None else str(value)


def _clamped(value: int | None) -> int | None:
    return None if value is None else min(value, LARGEST_NUMBER)


def _named(value: Enum) -> Any:
    return [each.name for each in value] if isinstance(value, Flag) else value.name
