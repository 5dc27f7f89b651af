"""Rows in memory: what a batch concerns, as it is now, what has changed, and how it was before. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Before:
    """A row as it was before a block; `row` is None when there was none."""

    block: int
    table: str
    key: Key
    row: Row | None


class Rows:
    """Rows by table and key. What was neither loaded nor put there is a `KeyError`, as it may well exist."""

    def __init__(self, keys: Mapping[str, Sequence[str]]) -> None:
        self._keys = keys  # the names of each table's key columns
        self._rows: dict[str, dict[Key, Row | None]] = {table: {} for table in keys}
        self._changed: dict[str, dict[Key, None]] = {table: {} for table in keys}
        self._noted: set[tuple[str, Key]] = set()
        self._block: int | None = None
        self.before: list[Before] = []

    def load(self, table: str, keys: Iterable[Key], found: Iterable[Row]) -> None:
        """Take what the database has under these keys."""
        rows = self._rows[table]
        names = self._keys[table]
        for key in keys:
            rows[key] = None
        for row in found:
            rows[tuple([row[name] for name in names])] = row

    def missing(self, table: str, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that were not loaded yet."""
        return [key for key in keys if key not in self._rows[table]]

    def begin(self, block: int, *, final: bool) -> None:
        """Go on with a block; how rows were before it is noted unless it is final."""
        self._block = None if final else block
        self._noted.clear()

    def find(self, table: str, *key: Any) -> Mapping[str, Any] | None:
        """A row to read."""
        return self._rows[table][key]

    def edit(self, table: str, *key: Any) -> Row | None:
        """A row to change."""
        row = self._rows[table][key]
        if row is not None:
            self._change(table, key, row)
        return row

    def put(self, table: str, row: Row) -> Row:
        """A new row, in place of one with its key."""
        key = tuple([row[name] for name in self._keys[table]])
        self._change(table, key, self._rows[table].get(key))
        self._rows[table][key] = row
        return row

    def changed(self, table: str) -> list[Row]:
        """The rows of a table that were put or edited."""
        rows = self._rows[table]
        return [row for key in self._changed[table] if (row := rows[key]) is not None]

    def _change(self, table: str, key: Key, row: Row | None) -> None:
        self._changed[table][key] = None
        if self._block is not None and (table, key) not in self._noted:
            self._noted.add((table, key))
            self.before.append(Before(self._block, table, key, None if row is None else dict(row)))


def as_json(value: Key | Row | None) -> str | None:
    """A key or a row, as the undo table has it: whole numbers of any size stay exact."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def key_of(text: str) -> Key:
    """A key again."""
    return tuple(json.loads(text))


def row_of(text: str | None) -> Row | None:
    """A row again."""
    if text is None:
        return None
    row: Row = json.loads(text)
    return row
