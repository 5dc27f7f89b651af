"""Rows to and from the two databases, many at once: each table's statements, and how its values are written.

SQLAlchemy's own would do as well, at several times the cost for each row.
"""
# ruff: noqa: S608 - the names in the statements are those of our own tables

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, Table

from ogpu.indexer.rows import Key, Row
from ogpu.indexer.tables import Wei, metadata

CHUNK = 5000  # rows in one statement


class Layout:
    """One table's columns and statements."""

    def __init__(self, table: Table, dialect: str) -> None:
        self._postgres = dialect == "postgresql"
        columns = [column for column in table.columns if column.autoincrement is not True]
        self._names = [column.name for column in columns]
        self._columns = [(column.name, isinstance(column.type, Wei)) for column in columns]
        self._booleans = [column.name for column in columns if isinstance(column.type, Boolean)]
        self._wei = [name for name, is_wei in self._columns if is_wei]
        self._types = [_array_type(column) for column in columns]
        keys = list(table.primary_key)
        names, listed = ", ".join(f'"{name}"' for name in self._names), ", ".join(f'"{k.name}"' for k in keys)
        if self._postgres:
            arrays = ", ".join(f"%s::{kind}" for kind in self._types)
            self._insert = f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})'
            wanted = "SELECT * FROM unnest(" + ", ".join(f"%s::{_array_type(k)}" for k in keys) + ")"
        else:
            self._insert = f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(columns))})'
            parts = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(keys)))
            wanted = f"SELECT {parts} FROM json_each(?)"
        key_names = {key.name for key in keys}
        rest = ", ".join(f'"{n}" = excluded."{n}"' for n in self._names if n not in key_names)
        self._upsert = f"{self._insert} ON CONFLICT ({listed}) DO " + (
            f"UPDATE SET {rest}" if rest else "NOTHING"
        )
        self._select = f'SELECT {names} FROM "{table.name}" WHERE ({listed}) IN ({wanted})'
        self._delete = f'DELETE FROM "{table.name}" WHERE ({listed}) IN ({wanted})'

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add rows that are not there."""
        self._write(connection, self._insert, rows)

    def upsert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add rows, or replace those with their keys."""
        self._write(connection, self._upsert, rows)

    def select(self, connection: Connection, keys: Sequence[Key]) -> list[Row]:
        """The rows under these keys that are there."""
        found: list[Row] = []
        for part in _parts(keys):
            result = connection.exec_driver_sql(self._select, self._wanted(part))
            found += [self._row(values) for values in result]
        return found

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Remove the rows under these keys."""
        for part in _parts(keys):
            connection.exec_driver_sql(self._delete, self._wanted(part))

    def _wanted(self, keys: Sequence[Key]) -> tuple[Any, ...]:
        if self._postgres:
            return tuple(list(column) for column in zip(*keys, strict=True))
        return (json.dumps(keys),)

    def _write(self, connection: Connection, statement: str, rows: Sequence[Row]) -> None:
        columns = self._columns
        for part in _parts(rows):
            values = [
                tuple([_wei(row[name]) if is_wei else row[name] for name, is_wei in columns]) for row in part
            ]
            if self._postgres:
                arrays = tuple(list(column) for column in zip(*values, strict=True))
                connection.exec_driver_sql(statement, arrays)
            else:
                connection.exec_driver_sql(statement, values)

    def _row(self, values: Iterable[Any]) -> Row:
        row = dict(zip(self._names, values, strict=True))
        for name in self._wei:
            if row[name] is not None:
                row[name] = int(row[name][2:])
        for name in self._booleans:
            row[name] = bool(row[name])
        return row


@cache
def layout(table: str, dialect: str) -> Layout:
    """The layout of a table by its name."""
    return Layout(metadata.tables[table], dialect)


def _wei(value: int | None) -> str | None:
    """As `tables.Wei` writes it."""
    if value is None:
        return None
    digits = str(value)
    return f"{len(digits):02d}{digits}"


def _array_type(column: Column[Any]) -> str:
    if isinstance(column.type, Boolean):
        return "boolean[]"
    if isinstance(column.type, BigInteger):
        return "bigint[]"
    return "integer[]" if isinstance(column.type, Integer) else "text[]"


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
