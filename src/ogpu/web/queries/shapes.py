"""Rows of the index as values: which columns a value takes, and how it is made of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import Column, Table

from ogpu.web.values import Moment

T = TypeVar("T")

_MOMENT = ("block", "index", "at", "tx")


class Shape(Generic[T]):
    """How a value is read from a table whose columns have its fields' names."""

    def __init__(self, kind: type[T], table: Table) -> None:
        self._kind = kind
        self.columns: list[Column[Any]] = []
        self._parts: list[Callable[[Sequence[Any]], Any]] = []
        hints = get_type_hints(kind)
        for field in fields(kind):  # type: ignore[arg-type]
            here = len(self.columns)
            wanted = _without_none(hints[field.name])
            if wanted is Moment:
                self.columns += [table.c[f"{field.name}_{part}"] for part in _MOMENT]
                self._parts.append(functools.partial(_moment, here))
            else:
                self.columns.append(table.c[field.name])
                self._parts.append(functools.partial(_converted(wanted), here))

    def make(self, row: Sequence[Any]) -> T:
        """The value of a row that begins with the shape's columns."""
        return self._kind(*[part(row) for part in self._parts])


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if type(None) in get_args(hint) else hint


def _moment(here: int, row: Sequence[Any]) -> Moment | None:
    return None if row[here] is None else Moment(*row[here : here + 4])


def _converted(wanted: Any) -> Callable[[int, Sequence[Any]], Any]:
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return lambda here, row: wanted(row[here])
    if wanted in (int, str, bool):
        return lambda here, row: row[here]
    return lambda here, row: _parsed(json.loads(row[here]))


def _parsed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
