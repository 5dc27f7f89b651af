"""What a check finds, and the comparison that finds it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

MISSING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of the index that is not the chain's; whole rows by the column "(row)". Amounts in wei."""

    table: str
    key: tuple[Any, ...]
    column: str
    index: Any
    chain: Any


@dataclass(frozen=True, slots=True)
class Note:
    """What differs, as no event tells of it; the index can only follow events."""

    table: str
    key: tuple[Any, ...]
    text: str


Finding = Difference | Note
Row = Mapping[str, Any]


def key_of(table: Table, row: Row) -> tuple[Any, ...]:
    """A row's primary key."""
    return tuple(row[column.name] for column in table.primary_key)


def compared(table: Table, row: Row, chain: Mapping[str, Any]) -> Iterator[Difference]:
    """The columns whose values the chain has otherwise."""
    for column, value in chain.items():
        if row[column] != value:
            yield Difference(table.name, key_of(table, row), column, row[column], value)


def missing(table: Table, *key: Any) -> Difference:
    """A row that the index lacks."""
    return Difference(table.name, key, "(row)", MISSING, "there")


def extra(table: Table, *key: Any) -> Difference:
    """A row of which the chain knows nothing."""
    return Difference(table.name, key, "(row)", "there", MISSING)


class Pairing:
    """Two sequences of keys that should have the same members, compared as they come."""

    def __init__(self) -> None:
        self._index: set[Any] = set()
        self._chain: set[Any] = set()

    def take(self, index: Sequence[Any], chain: Sequence[Any]) -> None:
        """The next ones of each."""
        self._index.update(index)
        self._chain.update(chain)
        both = self._index & self._chain
        self._index -= both
        self._chain -= both

    def left(self, table: Table) -> Iterator[Difference]:
        """What has no partner."""
        yield from (missing(table, key) for key in sorted(self._chain))
        yield from (extra(table, key) for key in sorted(self._index))
