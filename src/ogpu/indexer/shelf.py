"""The tables `documents` and `links`: which documents the items link to, and what became of each.

Its transactions are small and its own, so that it never keeps the projection waiting for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ogpu.indexer.links import Link, link_of
from ogpu.indexer.tables import (
    cursor,
    documents,
    events,
    link_scan,
    links,
    reorganisations,
    responses,
    sources,
    tasks,
)

AT_ONCE = 500  # events that are looked through in one transaction
LINKING = ("SourcePublished", "SourceUpdated", "TaskPublished", "ResponseSubmitted")
_SUM_KEPT = select(func.sum(documents.c.size)).where(documents.c.state == "kept")
BLOCK_END = 2**62  # behind the last log of any block

Spot = tuple[int, int]  # block and log index


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document to be fetched, and how often that has failed."""

    cid: str
    role: str
    tries: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fetch came to: `state` and the columns of `documents` that go with it."""

    cid: str
    state: str
    tries: int
    next_try: int = 0
    body: bytes | None = None
    size: int | None = None
    error: str | None = None


class Shelf:
    """What is known of documents in one database; used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(reading=True)
        self._spot: Spot = (-1, -1)
        self._saved: Spot | None = None
        self._reorganisation = 0

    def open(self, limit: int, most: int) -> int:
        """Go on where it ended; how many bytes are kept.

        What is not too large any more, for a document (`limit`) and for all (`most` bytes), is wanted again.
        """
        with self._engine.begin() as connection:
            saved = connection.execute(select(link_scan.c.block_number, link_scan.c.log_index)).first()
            self._spot = (saved[0], saved[1]) if saved else (-1, -1)
            self._saved = self._spot if saved else None
            self._reorganisation = _newest_reorganisation(connection)
            kept = int(connection.execute(_SUM_KEPT).scalar() or 0)
            refused, size = documents.c.state == "refused", documents.c.size
            small_enough = refused & (size <= limit) & (size <= most - kept)
            connection.execute(
                update(documents).where(small_enough).values(state="wanted", size=None, error=None)
            )
            return kept

    def look(self, now: int) -> bool:
        """Enter the links of the next events; whether there may be more."""
        with self._reader.begin() as connection:
            self._step_back(connection)
            head = connection.execute(select(cursor.c.number, cursor.c.finalized)).first()
            if head is None:
                return False
            found = _events_after(connection, self._spot)
            new = _links_of(connection, found)
        more = len(found) == AT_ONCE
        spot = max(
            self._spot, (found[-1].block_number, found[-1].log_index) if more else (head.number, BLOCK_END)
        )
        saved = min(spot, (head.finalized, BLOCK_END))
        if new or saved != self._saved:
            self._enter(new, saved, now)
        self._spot = spot
        return more

    def due(self, now: int, count: int, under_way: frozenset[str]) -> list[Wanted]:
        """What is to be fetched now: half of it new, the newest first, and half that failed before."""
        new = documents.c.state == "wanted"
        again = (documents.c.state == "failed") & (documents.c.next_try <= now)
        asked = select(documents.c.cid, documents.c.role, documents.c.tries).limit(count + len(under_way))
        with self._reader.begin() as connection:
            fresh = connection.execute(asked.where(new).order_by(documents.c.next_try.desc())).all()
            failed = connection.execute(asked.where(again).order_by(documents.c.next_try)).all()
        first, second = (
            [Wanted(*row) for row in rows if row[0] not in under_way] for rows in (fresh, failed)
        )
        half = max(count - len(second), (count + 1) // 2)
        return [*first[:half], *second[: count - min(half, len(first))]]

    def store(self, outcomes: Sequence[Outcome]) -> None:
        """Note what fetches came to."""
        columns = ("state", "tries", "next_try", "body", "size", "error")
        statement = update(documents).where(documents.c.cid == bindparam("key"))
        rows = [{"key": each.cid, **{name: getattr(each, name) for name in columns}} for each in outcomes]
        with self._engine.begin() as connection:
            connection.execute(statement.values({name: bindparam(name) for name in columns}), rows)

    def _step_back(self, connection: Connection) -> None:
        """Look again at what a reorganisation has put in the place of what was looked at."""
        newest = _newest_reorganisation(connection)
        if newest == self._reorganisation:
            return
        forks = select(func.min(reorganisations.c.fork_number)).where(
            reorganisations.c.id > self._reorganisation
        )
        fork = connection.execute(forks).scalar()
        if fork is not None:
            self._spot = min(self._spot, (fork, BLOCK_END))
        self._reorganisation = newest

    def _enter(self, new: Sequence[Link], saved: Spot, now: int) -> None:
        with self._engine.begin() as connection:
            named = {link.cid: link.role for link in reversed(new) if link.cid is not None}
            _insert(
                connection,
                documents,
                [
                    {"cid": c, "role": role, "state": "wanted", "tries": 0, "next_try": now}
                    for c, role in named.items()
                ],
            )
            columns = ("url_hash", "url", "cid", "refused")
            _insert(connection, links, [{name: getattr(link, name) for name in columns} for link in new])
            values = {"block_number": saved[0], "log_index": saved[1]}
            if not connection.execute(update(link_scan).values(values)).rowcount:
                _insert(connection, link_scan, [{"id": 1, **values}])
        self._saved = saved


def _newest_reorganisation(connection: Connection) -> int:
    return int(connection.execute(select(func.max(reorganisations.c.id))).scalar() or 0)


def _events_after(connection: Connection, spot: Spot) -> Sequence[Any]:
    place = tuple_(events.c.block_number, events.c.log_index)
    columns = (
        events.c.block_number,
        events.c.log_index,
        events.c.source,
        events.c.task,
        events.c.response,
        events.c.kind,
    )
    statement = select(*columns).where(place > tuple_(*spot), events.c.kind.in_(LINKING))
    return connection.execute(
        statement.order_by(events.c.block_number, events.c.log_index).limit(AT_ONCE)
    ).all()


def _links_of(connection: Connection, found: Iterable[Any]) -> list[Link]:
    """The links of the items of these events, as the items are now."""
    by_kind: dict[str, set[str]] = {kind: set() for kind in LINKING}
    for row in found:
        item = {"TaskPublished": row.task, "ResponseSubmitted": row.response}.get(row.kind, row.source)
        by_kind[row.kind].add(item)
    wanted = (
        (
            sources,
            by_kind["SourcePublished"] | by_kind["SourceUpdated"],
            {"metadata_url": "metadata", "optional_params_url": "params"},
        ),
        (tasks, by_kind["TaskPublished"], {"config_url": "config"}),
        (responses, by_kind["ResponseSubmitted"], {"data": "result"}),
    )
    read: list[Link] = []
    for table, items, columns in wanted:
        for column, role in columns.items():
            statement = select(table.c[column]).where(table.c.address.in_(sorted(items)))
            texts = connection.execute(statement).scalars() if items else ()
            read += [link for text in texts if (link := link_of(text, role)) is not None]
    return list({link.url_hash: link for link in read}.values())


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert what is not there yet."""
    if not rows:
        return
    made = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    connection.execute(made.on_conflict_do_nothing(), rows)
