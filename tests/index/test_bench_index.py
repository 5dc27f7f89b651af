"""The parts of the benchmark of the index, and with them an index from a node that keeps no old states."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from index_parts import chain
from index_parts.asking import KINDS, ask
from ogpu.indexer import tables
from ogpu.indexer.check import Difference, check, where_to_check
from ogpu.indexer.database import engine
from ogpu.indexer.keep import Keeping, keep_index
from ogpu.indexer.place import Place, place_of
from ogpu.indexer.run import Progress
from ogpu.indexer.status import Status, status_of
from ogpu.networks import parse_network
from ogpu.rpc.transport import RPC
from ogpu.web import queries
from ogpu.web.limits import Limits
from ogpu.web.paging import Paging
from ogpu.web.reading import Index

EVENTS = 2500
PATIENCE = 60.0  # seconds


async def _filled(place: Place) -> tuple[int, list[Difference]]:
    """Index a chain of so many events to its end; how many there are, and what differs from the chain."""
    async with chain.running() as node:
        await node.grow(EVENTS)
        head = await node.settle()
        network = parse_network(node.network_file(), "of the test")
        seen: list[Progress] = []
        keeping = asyncio.create_task(keep_index(Keeping(network, place), seen.append))
        async with asyncio.timeout(PATIENCE):
            while not seen or seen[0].number < head:
                assert not keeping.done(), keeping.exception()
                await asyncio.sleep(0.05)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        rpc = RPC(network.rpc_urls, network.chain_id)
        with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
            where = await where_to_check(connection, rpc, network, at_head=True)
            found = [each async for each in check(connection, rpc, network, where)]
        await rpc.close()
        return node.events, [each for each in found if isinstance(each, Difference)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, int, list[Difference]]:
    place = place_of(tmp_path_factory.mktemp("bench") / "index.sqlite3")
    return place, *asyncio.run(_filled(place))


def test_a_node_without_old_states_gives_an_index_that_is_right(
    filled: tuple[Place, int, list[Difference]],
) -> None:
    place, events, differences = filled
    assert differences == []
    status: Status = status_of(place)
    # The Controller's and the Manager's events are in the index too, and not counted while the chain is made.
    assert events <= status.counts["events"] <= events + 100


def test_each_kind_of_request_is_answered(filled: tuple[Place, int, list[Difference]]) -> None:
    asked = ask(str(filled[0].path), rounds=1)
    assert {one.kind for one in asked if one.status < 400} == set(KINDS)


def test_tasks_of_a_time_are_all_of_its_blocks(filled: tuple[Place, int, list[Difference]]) -> None:
    index = Index(filled[0], Limits())
    with index.look() as connection:
        column = tables.tasks.c.published_at
        times = sorted(set(connection.execute(select(column)).scalars()))
        assert len(times) > 1  # a block each, ten minutes apart
        for since, before in ((times[0], times[1]), (times[1], times[-1] + 1), (times[0] + 1, times[1])):
            inside = select(func.count()).where(column >= since, column < before)
            page = queries.tasks(connection, since=since, before=before, paging=Paging(limit=500))
            assert len(page.items) == connection.execute(inside).scalar()
    index.close()
