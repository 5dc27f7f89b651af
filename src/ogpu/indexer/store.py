"""What is in the database: batches of blocks go in, dropped blocks go out, each in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ogpu.errors import FinalityBroken, IndexMismatch
from ogpu.indexer import tables
from ogpu.indexer.database import Database
from ogpu.indexer.items import Doubtful, Facts
from ogpu.indexer.people import DATA_COLUMNS
from ogpu.indexer.project import (
    BY_BLOCK,
    KEPT_BLOCKS,
    KEYS,
    Added,
    Batch,
    Wanted,
    correct,
    doubted_rows,
    linked_rows,
    named_rows,
    project,
)
from ogpu.indexer.rows import Rows, as_json, key_of, row_of
from ogpu.indexer.statements import layout
from ogpu.rpc.steps import FINALITY, Cursor, RolledBack

ONE = 1  # the key of the cursor's only row


class OutOfStep(Exception):
    """The index is at another block than its writer believes, who has to look anew."""


@dataclass(frozen=True)
class Identity:
    """Which chain and contracts an index is of, and the block that it begins at."""

    chain_id: int
    genesis: str
    nexus: str
    first_block: int


@dataclass(frozen=True)
class Position:
    """Where an index is: its last block, what it may still see dropped, and where it has begun."""

    cursor: Cursor
    known: tuple[Cursor, ...]
    first_block: int


class Store:
    """The index's rows, for the one who writes them."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity

    def open(self) -> Position:
        """Make the index where there is none; where it is now. Raises `IndexMismatch` for another chain's."""
        with self._database.transaction() as connection:
            row = connection.execute(select(tables.cursor)).mappings().first()
            if row is None:
                connection.execute(insert(tables.cursor).values(**_beginning(self._identity)))
                first = self._identity.first_block
                return Position(Cursor(first - 1, ""), (), first)
            self._check(row)
            return _position(connection, row)

    def close(self) -> None:
        """Free the database."""
        self._database.close()

    def give_up(self) -> None:
        """Leave a connection that failed."""
        self._database.give_up()

    def take(self, batch: Batch, after: Cursor) -> None:
        """Write a batch of blocks that come after a place; one that is there already is left as it is."""
        last = batch.blocks[-1]
        with self._database.transaction() as connection:
            at = _cursor(connection)
            if at == last.cursor:  # the answer to a commit was lost
                return
            if at != after:
                raise OutOfStep
            rows = Rows(KEYS)
            _load(connection, rows, named_rows(batch))
            _load(connection, rows, linked_rows(batch, rows))
            _write(connection, rows, project(batch, rows))
            _drop_empty_blocks(connection, after.number, last.number)
            finalized = _finalized(connection, batch.final)
            _move(
                connection,
                last.cursor,
                last.timestamp,
                finalized=finalized,
                head=max(batch.head, last.number),
            )

    def doubtful(self, to: Cursor) -> Doubtful:
        """What blocks that may be dropped have touched, and is still there after a rollback to a block."""
        with self._database.transaction() as connection:
            return _doubtful(connection, to.number)

    def roll_back(self, step: RolledBack, after: Cursor, seen_at: int, again: Facts) -> None:
        """Take dropped blocks out as if they had never been; `seen_at` in Unix seconds.

        `again`: what is so, at the block that stays, of what is doubtful then. Raises `FinalityBroken` for
        a rollback below what is final.
        """
        to = step.to
        with self._database.transaction() as connection:
            at = _cursor(connection)
            if at == to:
                return
            if at != after:
                raise OutOfStep
            _check_final(connection, step, after)
            _restore(connection, to.number)
            _correct(connection, again)
            for table, column in BY_BLOCK.items():
                held = tables.metadata.tables[table]
                connection.execute(delete(held).where(held.c[column] > to.number))
            connection.execute(
                insert(tables.reorganisations).values(
                    seen_at=seen_at,
                    fork_number=to.number,
                    fork_hash=to.hash,
                    depth=len(step.dropped),
                    dropped=json.dumps([[cursor.number, cursor.hash] for cursor in step.dropped]),
                )
            )
            there = select(tables.blocks.c.timestamp).where(tables.blocks.c.number == to.number)
            timestamp = connection.execute(there).scalar() or 0
            _move(connection, to, timestamp)

    def _check(self, row: Mapping[Any, Any]) -> None:
        identity = self._identity
        for name, own in (
            ("chain_id", identity.chain_id),
            ("genesis", identity.genesis),
            ("nexus", identity.nexus),
        ):
            if row[name] != own:
                place = self._database.place.name
                raise IndexMismatch(
                    f"The index {place} is of another chain: its {name} is {row[name]}, and not {own}.",
                    hint="Name another index, or make this one anew: `ogpu index rebuild`.",
                    facts={"index": place, "reason": name, "found": row[name], "expected": own},
                )


def _beginning(identity: Identity) -> dict[str, Any]:
    before = identity.first_block - 1
    return {
        "id": ONE,
        "chain_id": identity.chain_id,
        "genesis": identity.genesis,
        "nexus": identity.nexus,
        "first_block": identity.first_block,
        "number": before,
        "hash": "",
        "timestamp": 0,
        "finalized": before,
        "head": before,
        "changes": 0,
    }


def _position(connection: Connection, row: Mapping[Any, Any]) -> Position:
    """Where the index is; no block below the one that was told as final may ever be dropped."""
    oldest = max(row["finalized"], row["number"] - FINALITY + 1)
    blocks = tables.blocks
    found = connection.execute(
        select(blocks.c.number, blocks.c.hash).where(blocks.c.number >= oldest).order_by(blocks.c.number)
    )
    known = tuple(Cursor(number, hash) for number, hash in found)
    return Position(Cursor(row["number"], row["hash"]), known, row["first_block"])


def _cursor(connection: Connection) -> Cursor:
    found = connection.execute(select(tables.cursor.c.number, tables.cursor.c.hash)).one()
    return Cursor(found.number, found.hash)


def _load(connection: Connection, rows: Rows, wanted: Wanted) -> None:
    for table, keys in wanted.items():
        if missing := rows.missing(table, keys):
            found = layout(table, connection.dialect.name).select(connection, missing)
            rows.load(table, missing, found)


def _write(connection: Connection, rows: Rows, added: Added) -> None:
    dialect = connection.dialect.name
    for table, new in added.rows.items():
        if new:
            layout(table, dialect).insert(connection, new)
    for table in KEYS:
        if changed := rows.changed(table):
            layout(table, dialect).upsert(connection, changed)
    if rows.before:
        connection.execute(
            insert(tables.undo),
            [
                {
                    "block_number": before.block,
                    "table_name": before.table,
                    "key": as_json(before.key),
                    "before": as_json(before.row),
                }
                for before in rows.before
            ],
        )


def _drop_empty_blocks(connection: Connection, before: int, last: int) -> None:
    """Drop those that are old since the index went on from `before`: to look at all takes ever longer."""
    number = tables.blocks.c.number
    old = number.between(before - KEPT_BLOCKS, last - KEPT_BLOCKS)
    connection.execute(delete(tables.blocks).where(old, tables.blocks.c.event_count == 0))


def _finalized(connection: Connection, final: int) -> int:
    """Note blocks as final: what was before them is forgotten, in the same transaction."""
    before: int = connection.execute(select(tables.cursor.c.finalized)).scalar_one()
    finalized = max(final, before)
    connection.execute(delete(tables.undo).where(tables.undo.c.block_number <= finalized))
    return finalized


def _restore(connection: Connection, to: int) -> None:
    """Give rows their image from before the oldest dropped block that has changed them."""
    undo = tables.undo
    newer = undo.c.block_number > to
    found = connection.execute(
        select(undo.c.table_name, undo.c.key, undo.c.before).where(newer).order_by(undo.c.id.desc())
    )
    images: dict[str, dict[str, str | None]] = {}
    for table, key, before in found:
        images.setdefault(table, {})[key] = before
    for table, by_key in images.items():
        here = layout(table, connection.dialect.name)
        here.delete(connection, [key_of(key) for key, before in by_key.items() if before is None])
        here.upsert(connection, [row for before in by_key.values() if (row := row_of(before)) is not None])
    connection.execute(delete(undo).where(newer))


def _doubtful(connection: Connection, to: int) -> Doubtful:
    first, finalized = connection.execute(
        select(tables.cursor.c.first_block, tables.cursor.c.finalized)
    ).one()
    blocks: dict[str, dict[str, int]] = {"accounts": {}, "sources": {}, "providers": {}}
    undo, events = tables.undo, tables.events
    found = connection.execute(
        select(undo.c.table_name, undo.c.key, undo.c.before, undo.c.block_number)
        .where(undo.c.table_name.in_(blocks))
        .order_by(undo.c.id)
    )
    made_since: set[tuple[str, str]] = set()  # by dropped blocks, with which it goes
    for table, key, before, block in found:
        name = key_of(key)[0]
        if block <= to:
            blocks[table][name] = block
        elif before is None:
            made_since.add((table, name))
        elif (table, name) not in made_since:
            blocks[table].setdefault(name, finalized)
    providers = blocks["providers"]
    said = select(events.c.kind, events.c.account).where(
        events.c.account.in_(providers), events.c.kind.in_(DATA_COLUMNS), events.c.block_number <= to
    )
    data = {(kind, who): providers[who] for kind, who in connection.execute(said.distinct())}
    return Doubtful(blocks["accounts"], blocks["sources"], data, first)


def _correct(connection: Connection, again: Facts) -> None:
    rows = Rows(KEYS)
    wanted = doubted_rows(again)
    _load(connection, rows, wanted)
    correct(again, rows)
    for table in wanted:
        if changed := rows.changed(table):
            layout(table, connection.dialect.name).upsert(connection, changed)


def _check_final(connection: Connection, step: RolledBack, after: Cursor) -> None:
    finalized: int = connection.execute(select(tables.cursor.c.finalized)).scalar_one()
    if step.to.number >= finalized:
        return
    hashes = {cursor.number: cursor.hash for cursor in step.dropped}
    raise FinalityBroken(
        f"Block {finalized} is another one than it was, though it was final.",
        hint="If the chain was started anew or wound back, begin anew too; else see what other nodes have.",
        facts={
            "depth": after.number - step.to.number,
            "number": finalized,
            "hash": hashes.get(finalized, ""),
            "newest": after.number,
            "finality": FINALITY,
        },
    )


def _move(connection: Connection, to: Cursor, timestamp: int, **others: int) -> None:
    connection.execute(
        update(tables.cursor).values(
            number=to.number,
            hash=to.hash,
            timestamp=timestamp,
            changes=tables.cursor.c.changes + 1,
            **others,
        )
    )
