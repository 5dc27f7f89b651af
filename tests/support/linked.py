"""Items that link to documents, in an index's tables; and the worker that fetches these, run for a while."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update

from ogpu.content import ContentOptions
from ogpu.indexer.documents import Bounds, Documents
from ogpu.indexer.tables import cursor, documents, events, links, metadata, responses, sources, tasks
from ogpu.networks import TESTNET, Network

SETTLING = 30.0  # seconds
HASH = "0x" + "11" * 32
NOBODY = "0x" + "0" * 40


def network_at(*gateways: str) -> tuple[Network, ContentOptions]:
    """A network whose gateway is the first of these, and options that name the others."""
    return replace(TESTNET, gateway_url=gateways[0]), ContentOptions(gateways=gateways[1:])


class Items:
    """Enters items as the projection does, one a block unless a test says otherwise."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._numbers = itertools.count(1)
        metadata.create_all(engine)
        place = {"chain_id": 1, "genesis": HASH, "nexus": NOBODY, "first_block": 0, "hash": HASH}
        head = {"number": 0, "timestamp": 0, "finalized": 0, "head": 0, "changes": 0}
        with engine.begin() as connection:
            connection.execute(insert(cursor), {"id": 1, **place, **head})

    def task(self, url: str, **where: int) -> str:
        """A task with this config."""
        row = {
            "source": NOBODY,
            "client": NOBODY,
            "config_url": url,
            "expiry_time": 0,
            "payment": 1,
        }
        return self._item(
            "TaskPublished", tasks, row | {"delivery_method": 0, "status": 0}, "published", **where
        )

    def source(self, url: str) -> str:
        """A source with this metadata."""
        row: dict[str, Any] = {
            "client": NOBODY,
            "metadata_url": url,
            "environments": 1,
            "min_payment": 1,
        }
        row |= {"min_available_lockup": 0, "max_expiry_duration": 1, "privacy_enabled": False, "paid": 0}
        row |= {"optional_params_url": "", "delivery_method": 0, "status": 0, "last_update_time": 0}
        return self._item("SourcePublished", sources, row, "published")

    def response(self, data: str) -> str:
        """A response of this data."""
        row = {
            "task": NOBODY,
            "source": NOBODY,
            "provider": NOBODY,
            "data": data,
            "payment": 1,
        }
        return self._item("ResponseSubmitted", responses, row | {"status": 0}, "submitted")

    def _item(
        self, kind: str, table: Any, row: dict[str, Any], what: str, block: int = 0, final: int = -1
    ) -> str:
        number = next(self._numbers)
        block, address = block or number, _address(number)
        named = {"TaskPublished": "task", "SourcePublished": "source", "ResponseSubmitted": "response"}[kind]
        happened = {f"{what}_block": block, f"{what}_index": 0, f"{what}_at": 0, f"{what}_tx": HASH}
        event = {
            "block_number": block,
            "log_index": 0,
            "transaction_hash": HASH,
            "at": 0,
            "contract": "Nexus",
        }
        with self.engine.begin() as connection:
            connection.execute(insert(table), {"address": address, **row, **happened})
            connection.execute(
                insert(events),
                {**event, "contract": "Nexus", "kind": kind, named: address, "arguments": "{}"},
            )
            connection.execute(update(cursor).values(number=block, finalized=block if final < 0 else final))
        return address

    def drop_from(self, block: int) -> None:
        """What a reorganisation does to the tables that are looked at."""
        with self.engine.begin() as connection:
            connection.execute(delete(events).where(events.c.block_number >= block))
            connection.execute(delete(tasks).where(tasks.c.published_block >= block))
            connection.execute(update(cursor).values(number=block - 1))


def _address(number: int) -> str:
    return f"0x{number:040x}"


def kept(engine: Engine) -> dict[str, bytes]:
    """The documents that are there, by their CIDs."""
    with engine.connect() as connection:
        found = connection.execute(
            select(documents.c.cid, documents.c.body).where(documents.c.state == "kept")
        )
        return {row.cid: row.body for row in found}


def states(engine: Engine) -> dict[str, tuple[str, str | None]]:
    """State and reason of each document."""
    with engine.connect() as connection:
        found = connection.execute(select(documents.c.cid, documents.c.state, documents.c.error))
        return {row.cid: (row.state, row.error) for row in found}


def linked(engine: Engine) -> dict[str, tuple[str | None, str | None]]:
    """CID and reason of each link."""
    with engine.connect() as connection:
        found = connection.execute(select(links.c.url, links.c.cid, links.c.refused))
        return {row.url: (row.cid, row.refused) for row in found}


def settled(engine: Engine, count: int) -> bool:
    """Whether there are so many documents, and each was asked for."""
    with engine.connect() as connection:
        open_ = connection.execute(select(func.count()).where(documents.c.state == "wanted")).scalar()
        return not open_ and connection.execute(select(func.count()).select_from(documents)).scalar() == count


async def fetching(
    engine: Engine,
    gateways: Sequence[str],
    until: Callable[[], bool],
    *,
    bounds: Bounds | None = None,
    now: Callable[[], float] = time.time,
) -> None:
    """Run the worker until something holds of the tables; it must not end by itself."""
    network, options = network_at(*gateways)
    worker = asyncio.create_task(Documents(engine, network, options, bounds or Bounds(), now=now).run())
    try:
        async with asyncio.timeout(SETTLING):
            while not until():
                assert not worker.done(), worker.exception()
                await asyncio.sleep(0.02)
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
