"""All that an index says of the chain, as bytes: two indexes of one chain at one block have the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from ogpu.indexer import tables
from ogpu.rpc.steps import FINALITY


def dump(connection: Connection) -> bytes:
    """A line for each row, table by table, each sorted by its key."""
    return b"".join(lines(connection))


def lines(connection: Connection) -> Iterator[bytes]:
    """The lines of `dump`. Amounts and all other numbers are exact."""
    number = connection.execute(select(tables.cursor.c.number)).scalar_one()
    for table in tables.PROJECTED:
        statement = select(table)
        if table is tables.blocks:  # of the empty ones, more are kept the further the index has been
            statement = statement.where((table.c.event_count > 0) | (table.c.number > number - FINALITY))
        keys = [column.name for column in table.primary_key]
        rows = [dict(row) for row in connection.execute(statement).mappings()]
        for row in sorted(rows, key=lambda row: [row[key] for key in keys]):
            yield _line(table.name, row)


def _line(table: str, row: dict[str, Any]) -> bytes:
    return json.dumps([table, row], ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
