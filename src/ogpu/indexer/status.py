"""What is known of an index: how far it is, what is in it, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from ogpu.errors import NotFound
from ogpu.indexer.database import engine, schema_version
from ogpu.indexer.place import Place
from ogpu.indexer.tables import cursor, documents, links, reorganisations, totals


@dataclass(frozen=True)
class Status:
    """An index at a moment: `timestamp` of its block in Unix seconds, `size` in bytes, sums in wei."""

    index: str
    version: int
    chain_id: int
    first_block: int
    block: int
    block_hash: str
    timestamp: int
    finalized: int
    head: int  # that the indexer was told of last
    size: int
    counts: dict[str, int]
    documents: dict[str, int]  # by state
    document_bytes: int
    refused_links: int
    reorganisations: int


def status_of(place: Place) -> Status:
    """Look into an index; `NotFound` where there is none."""
    if place.path is not None and not place.path.exists():
        raise no_index(place)
    with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
        version = schema_version(connection, place)
        if version is None:
            raise no_index(place)
        at = connection.execute(select(cursor)).mappings().first()
        if at is None:
            raise no_index(place)
        return Status(
            index=place.name,
            version=version,
            chain_id=at["chain_id"],
            first_block=at["first_block"],
            block=at["number"],
            block_hash=at["hash"],
            timestamp=at["timestamp"],
            finalized=at["finalized"],
            head=at["head"],
            size=_size(connection, place),
            **_contents(connection),
        )


def no_index(place: Place) -> NotFound:
    """That there is none."""
    return NotFound(f"There is no index at {place.name}.", hint="`ogpu index` makes it.")


def _contents(connection: Connection) -> dict[str, Any]:
    sums = connection.execute(select(totals)).mappings().first()
    states = select(documents.c.state, func.count()).group_by(documents.c.state)
    kept = select(func.sum(documents.c.size)).where(documents.c.state == "kept")
    refused = select(func.count()).where(links.c.refused.is_not(None))
    return {
        "counts": {name: value for name, value in (sums or {}).items() if name != "id"},
        "documents": {row[0]: row[1] for row in connection.execute(states)},
        "document_bytes": int(connection.execute(kept).scalar() or 0),
        "refused_links": int(connection.execute(refused).scalar() or 0),
        "reorganisations": int(
            connection.execute(select(func.count()).select_from(reorganisations)).scalar() or 0
        ),
    }


def _size(connection: Connection, place: Place) -> int:
    if place.path is not None:
        files = (place.path, place.path.with_name(f"{place.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    tables = "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
    where = "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    return int(connection.execute(text(f"{tables} {where}")).scalar() or 0)
