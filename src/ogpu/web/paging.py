"""Lists in pages: each goes on after a row, so that what is new or gone moves nothing. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Integer, Select, literal, tuple_

from ogpu.errors import InvalidInput
from ogpu.indexer.tables import Wei
from ogpu.safejson import parse_json
from ogpu.web.values import Page

T = TypeVar("T")

DEFAULT_SIZE = 50
MAX_SIZE = 500
MAX_CURSOR = 600  # characters
MAX_CHARACTERS = 2_000_000  # of the texts of a page, which ends before its last row then
_CHECK = 9  # bytes; they tell a cursor that was altered or cut from one of ours, and are no secret


class BadCursor(InvalidInput):
    """A cursor that is none of this list's."""

    def __init__(self) -> None:
        super().__init__(
            "The cursor is none of this list.",
            hint="Give `next` of the page before, with the same filters and the same order.",
        )


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list: after which one, how many rows, in which order; None is the list's own order."""

    cursor: str | None = None
    limit: int = DEFAULT_SIZE
    sort: str | None = None


FIRST = Paging()


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: its columns, of which the last one tells rows apart."""

    columns: tuple[Column[Any], ...]
    descending: bool


def order_of(sort: str, orders: Mapping[str, tuple[Column[Any], ...]]) -> Order:
    """The order that `published` or `-published` (the newest first) names."""
    name = sort.removeprefix("-")
    if name not in orders:
        raise InvalidInput(f"A list is not sorted by {name!r}.", hint=f"There are {', '.join(orders)}.")
    return Order(orders[name], sort.startswith("-"))


def page(
    connection: Connection,
    statement: Select[Any],
    make: Callable[[Sequence[Any]], T],
    order: Order,
    *,
    scope: str,
    paging: Paging,
    either: Sequence[ColumnElement[bool]] = (),
) -> Page[T]:
    """The rows after the cursor; `scope` names the list with its filters, as a cursor fits only there.

    The statement's last columns are those of the order. Of the conditions in `either` one must hold: each is
    looked for by an index of its own, where a database would read all rows for an OR.
    """
    cursor, limit = paging.cursor, paging.limit
    if not 1 <= limit <= MAX_SIZE:
        raise InvalidInput(f"A page has 1 to {MAX_SIZE} rows.")
    scope = f"{scope} {[column.name for column in order.columns]} {order.descending}"
    if cursor is not None:
        statement = statement.where(_after(order, _opened(cursor, scope, len(order.columns))))
    found: Iterable[Sequence[Any]]
    by = [column.desc() if order.descending else column.asc() for column in order.columns]
    statement = statement.order_by(*by).limit(limit + 1)
    if either:
        found = _merged([connection.execute(statement.where(one)) for one in either], order)
    else:
        found = connection.execute(statement)
    rows, more = _taken(found, limit)
    place = [*rows[-1]][-len(order.columns) :] if more else None
    return Page(tuple([make(row) for row in rows]), None if place is None else _closed(place, scope))


def _merged(lists: Iterable[Iterable[Sequence[Any]]], order: Order) -> Iterable[Sequence[Any]]:
    """The rows of several lists in order, each once."""
    size = len(order.columns)
    rows = {tuple(row[-size:]): row for found in lists for row in found}
    return [rows[place] for place in sorted(rows, reverse=order.descending)]


def _taken(found: Iterable[Sequence[Any]], limit: int) -> tuple[list[Sequence[Any]], bool]:
    """The rows of a page, and whether there are more; strangers write texts of any length."""
    rows: list[Sequence[Any]] = []
    size = 0
    for row in found:
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(rows) == limit or (rows and size > MAX_CHARACTERS):
            return rows, True
        rows.append(row)
    return rows, False


def _after(order: Order, place: Sequence[Any]) -> ColumnElement[bool]:
    pairs = list(zip(order.columns, place, strict=True))
    if not all(_fits(column, value) for column, value in pairs):
        raise BadCursor
    here = tuple_(*order.columns)
    there = tuple_(*(literal(value, column.type) for column, value in pairs))
    return here < there if order.descending else here > there


def _fits(column: Column[Any], value: object) -> bool:
    if isinstance(column.type, Wei):
        return type(value) is int and 0 <= value < 10**78
    if isinstance(column.type, Integer):
        return type(value) is int and 0 <= value < 2**63
    return isinstance(value, str) and value.isascii() and value.isalnum()


def _check(scope: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK, key=hashlib.sha256(scope.encode()).digest()).digest()


def _closed(place: Sequence[Any], scope: str) -> str:
    body = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(scope, body) + body).decode().rstrip("=")


def _opened(cursor: str, scope: str, count: int) -> list[Any]:
    if len(cursor) > MAX_CURSOR:
        raise BadCursor
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadCursor from None
    check, body = raw[:_CHECK], raw[_CHECK:]
    if check != _check(scope, body):
        raise BadCursor
    try:
        place = parse_json(body)
    except ValueError:
        raise BadCursor from None
    if not isinstance(place, list) or len(place) != count:
        raise BadCursor
    return place
