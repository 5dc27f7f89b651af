"""Indexing a chain in tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, NoResultFound

from ogpu.indexer import tables
from ogpu.indexer.database import engine
from ogpu.indexer.dump import dump
from ogpu.indexer.place import Place, place_of
from ogpu.indexer.run import Indexer
from ogpu.networks import Network
from ogpu.rpc.transport import RPC
from tests.support.localnet import rpc

PATIENCE = 60.0  # seconds
POLL = 0.02


def head_of(network: Network) -> tuple[int, str]:
    """The newest block's number and hash."""
    block = rpc(network.rpc_urls[0], "eth_getBlockByNumber", "latest", False)
    return int(block["number"], 16), str(block["hash"])


async def index_to_head(network: Network, place: Place, first_block: int = 0) -> None:
    """Follow the chain until the index is at the block that is the newest one now."""
    await index_to(network, place, head_of(network)[0], first_block)


async def index_to(network: Network, place: Place, number: int, first_block: int = 0) -> None:
    """Follow the chain until the index is at that block."""
    connection = RPC(network.rpc_urls, network.chain_id)
    indexer = Indexer(connection, network, place, poll=POLL, first_block=first_block)
    running = asyncio.create_task(indexer.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while indexer.progress.number < number and not running.done():
                await asyncio.sleep(POLL / 2)
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        await connection.close()
    if not isinstance(ended, asyncio.CancelledError):
        raise ended or AssertionError("the indexer ended by itself")


def indexed(network: Network, where: str | Path, first_block: int = 0) -> Place:
    """Index a chain up to its newest block."""
    place = place_of(where)
    asyncio.run(index_to_head(network, place, first_block))
    return place


def dumped(place: Place) -> bytes:
    """What an index says of the chain."""
    made = engine(place)
    with made.connect().execution_options(reading=True) as connection, connection.begin():
        return dump(connection)


def node_of(network: Network, url: str) -> Network:
    """The network with another RPC URL."""
    return replace(network, rpc_urls=(url,))


def reorganisations_in(place: Place) -> int:
    """How many an index has seen."""
    with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
        return len(connection.execute(select(tables.reorganisations.c.id)).all())


def number_of(place: Place) -> int:
    """The last block of an index; -1 when there is none yet."""
    try:
        with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
            return int(connection.execute(select(tables.cursor.c.number)).scalar_one())
    except (DBAPIError, NoResultFound):
        return -1
