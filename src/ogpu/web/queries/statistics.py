"""Sums over all, and what happened when."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ogpu.errors import InvalidInput
from ogpu.indexer import tables
from ogpu.web.queries.shapes import Shape
from ogpu.web.values import Bucket, Statistics, Totals

MAX_BUCKETS = 1000

_totals = Shape(Totals, tables.totals)
_buckets = Shape(Bucket, tables.buckets)


def totals(connection: Connection) -> Totals:
    """Sums over all; zeros while the index is empty."""
    row = connection.execute(select(*_totals.columns)).first()
    return _totals.make([0] * len(_totals.columns) if row is None else row)


def buckets(
    connection: Connection, *, width: int = 3600, since: int | None = None, before: int | None = None
) -> tuple[Bucket, ...]:
    """The newest intervals of that many seconds, at most a thousand, in the order of time."""
    if width not in tables.WIDTHS:
        raise InvalidInput(f"There are no intervals of {width} s.", hint=f"There are {tables.WIDTHS}.")
    columns = tables.buckets.c
    statement = select(*_buckets.columns).where(columns.width == width)
    if since is not None:
        statement = statement.where(columns.start >= since)
    if before is not None:
        statement = statement.where(columns.start < before)
    rows = connection.execute(statement.order_by(columns.start.desc()).limit(MAX_BUCKETS)).all()
    return tuple(_buckets.make(row) for row in reversed(rows))


def statistics(
    connection: Connection, *, width: int = 3600, since: int | None = None, before: int | None = None
) -> Statistics:
    """Sums over all, and the intervals that begin from `since` on and before `before` (Unix seconds)."""
    intervals = buckets(connection, width=width, since=since, before=before)
    return Statistics(totals(connection), width, tables.LATENCY_BINS, intervals)
