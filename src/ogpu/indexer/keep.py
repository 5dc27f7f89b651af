"""Keeps an index: follows the chain into it, and fetches what its items link to, until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

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

logger = logging.getLogger(__name__)

BEGUN_POLL = 0.1  # seconds


@dataclass(frozen=True)
class Keeping:
    """What is to be indexed, and where; without `bounds` no documents are fetched.

    A local network's chain may be wound back: a head below what was final is then no node that is behind.
    """

    network: Network
    place: Place
    first_block: int = 0
    bounds: Bounds | None = None
    may_be_wound_back: bool = False


async def keep_index(job: Keeping, watch: Callable[[Progress], None] | None = None) -> None:
    """Keep it up to date for ever; `watch` is given how far it is, which changes from then on.

    Raises what `Indexer.run` raises.
    """
    rpc = RPC(job.network.rpc_urls, job.network.chain_id)
    try:
        async with NewHeads(job.network.ws_urls) as hint:
            indexer = Indexer(
                rpc,
                job.network,
                job.place,
                first_block=job.first_block,
                hint=hint,
                may_be_wound_back=job.may_be_wound_back,
            )
            if watch is not None:
                watch(indexer.progress)
            beside = None if job.bounds is None else asyncio.create_task(_fetched(job, indexer.progress))
            if beside is not None:
                beside.add_done_callback(_told)
            try:
                await indexer.run()
            finally:
                if beside is not None:
                    beside.cancel()
                    await asyncio.gather(beside, return_exceptions=True)
    finally:
        await rpc.close()


async def _fetched(job: Keeping, progress: Progress) -> None:
    """Fetch documents, once the index is there, which its writer makes."""
    assert job.bounds is not None
    while progress.number < 0:  # noqa: ASYNC110 - set by whoever writes, who knows of no event
        await asyncio.sleep(BEGUN_POLL)
    await Documents(engine(job.place), job.network, resolve_options(None), job.bounds).run()


def _told(beside: asyncio.Task[None]) -> None:
    """Say at once why nothing is fetched any more, which is no reason to end the index."""
    if not beside.cancelled() and (error := beside.exception()) is not None:
        logger.error("fetching documents ended: %s", type(error).__name__)


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
