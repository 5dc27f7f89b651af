"""Keeps an index: follows the chain into it, and fetches what its items link to, until it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, text

from ogpu.content.options import resolve_options
from ogpu.indexer.database import Database, engine
from ogpu.indexer.documents import Bounds, Documents
from ogpu.indexer.place import Place
from ogpu.indexer.run import Indexer, Progress
from ogpu.indexer.tables import documents, metadata
from ogpu.networks import Network
from ogpu.rpc.subscription import NewHeads
from ogpu.rpc.transport import RPC


@dataclass(frozen=True)
class Job:
    """What is to be indexed, and where; without `bounds` no documents are fetched."""

    network: Network
    place: Place
    first_block: int = 0
    bounds: Bounds | None = None


async def keep_index(job: Job, watch: Callable[[Progress], None] | None = None) -> None:
    """Keep it up to date for ever; `watch` is given how far it is, which changes from then on.

    Raises what `Indexer.run` raises.
    """
    rpc = RPC(job.network.rpc_urls, job.network.chain_id)
    try:
        async with NewHeads(job.network.ws_urls) as hint:
            indexer = Indexer(rpc, job.network, job.place, first_block=job.first_block, hint=hint)
            if watch is not None:
                watch(indexer.progress)
            works: list[Coroutine[Any, Any, None]] = [indexer.run()]
            if job.bounds is not None:
                options = resolve_options(None)
                fetching = Documents(engine(job.place), job.network, options, job.bounds)
                works.append(_once_begun(indexer.progress, fetching.run()))
            await _together(works)
    finally:
        await rpc.close()


async def _once_begun(progress: Progress, work: Coroutine[Any, Any, None]) -> None:
    """Do it once the index is there, which its writer makes."""
    try:
        while progress.number < 0:  # noqa: ASYNC110 - set by whoever writes, who knows of no event
            await asyncio.sleep(0.1)
    except BaseException:
        work.close()
        raise
    await work


async def _together(works: list[Coroutine[Any, Any, None]]) -> None:
    """Do all at the same time; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def emptied(place: Place) -> int:
    """Take all out but the documents, whose names say what they are; the block that the index begins at.

    Raises `IndexBusy` while somebody writes it. Who reads goes on with the same database.
    """
    database = Database(place)
    try:
        with database.transaction() as connection:
            first = connection.execute(text("SELECT first_block FROM cursor")).scalar()
            for table in reversed(metadata.sorted_tables):
                if table is not documents:
                    connection.execute(delete(table))
            return int(first or 0)
    finally:
        database.close()
