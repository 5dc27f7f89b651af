"""What the chain said: events, blocks and reorganisations, and how far the index is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from ogpu.indexer import tables
from ogpu.web.paging import FIRST, Paging, order_of, page
from ogpu.web.queries.lists import Listing, equal, within
from ogpu.web.values import Block, Dropped, Event, Page, Position, Reorganisation

_events = Listing(Event, tables.events, {"happened": ("block_number", "log_index")})
_blocks = Listing(Block, tables.blocks, {"number": ("number",)})
_position = Listing(Position, tables.cursor, {"number": ("number",)})


def position(connection: Connection) -> Position | None:
    """How far the index is; None before its first block."""
    return _position.one(connection, tables.cursor.c.hash != "")


def events(
    connection: Connection,
    *,
    kind: str | None = None,
    source: str | None = None,
    task: str | None = None,
    account: str | None = None,
    transaction: str | None = None,
    block: int | None = None,
    since: int | None = None,
    before: int | None = None,
    paging: Paging = FIRST,
) -> Page[Event]:
    """Events, of blocks from `since` on and before `before`; an account's are those that name it in either
    place. Sorted by `happened`.
    """
    columns = tables.events.c
    where = equal(
        (columns.kind, kind),
        (columns.source, source),
        (columns.task, task),
        (columns.transaction_hash, transaction),
        (columns.block_number, block),
    )
    where += within(columns.block_number, since, before)
    either = equal((columns.account, account), (columns.other, account))
    return _events.read(connection, where, paging, either)


def blocks(
    connection: Connection, *, since: int | None = None, before: int | None = None, paging: Paging = FIRST
) -> Page[Block]:
    """Blocks with events, and those that are not final; sorted by `number`."""
    return _blocks.read(connection, within(tables.blocks.c.number, since, before), paging)


def block(connection: Connection, number: int) -> Block | None:
    """A block with events, or one that is not final."""
    return _blocks.one(connection, tables.blocks.c.number == number)


def block_by_hash(connection: Connection, block_hash: str) -> Block | None:
    """The same by its hash, in lower case."""
    return _blocks.one(connection, tables.blocks.c.hash == block_hash)


def reorganisations(connection: Connection, *, paging: Paging = FIRST) -> Page[Reorganisation]:
    """Reorganisations that the indexer saw; sorted by `seen`."""
    columns = tables.reorganisations.c
    order = order_of("-seen" if paging.sort is None else paging.sort, {"seen": (columns.id,)})
    statement = select(tables.reorganisations, columns.id.label(None))
    return page(connection, statement, _reorganisation, order, scope="reorganisations", paging=paging)


def _reorganisation(row: Sequence[Any]) -> Reorganisation:
    number, seen_at, fork_number, fork_hash, depth, dropped = row[:6]
    blocks = tuple(Dropped(*each) for each in json.loads(dropped))
    return Reorganisation(number, seen_at, fork_number, fork_hash, depth, blocks)
