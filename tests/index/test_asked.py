"""What the API asks of a real index, in each database, beside plain SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, or_, select

from ogpu.indexer import tables
from ogpu.indexer.place import Place
from ogpu.networks import load_network_file
from ogpu.web import queries
from ogpu.web.limits import Limits
from ogpu.web.paging import Paging
from ogpu.web.reading import Index
from tests.support import postgres
from tests.support.indexing import indexed
from tests.support.localnet import RunningNetwork
from tests.support.past import lived


@pytest.fixture(scope="module")
def places(bare_network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    """The index of a chain on which all of the protocol has happened; PostgreSQL's in a schema of its own."""
    with lived(bare_network) as past, postgres.running() as server:
        network = load_network_file(past.network.file)
        file = tmp_path_factory.mktemp("index") / "index.sqlite3"
        yield [indexed(network, file), indexed(network, server.fresh_schema())]


@pytest.fixture(params=[0, 1], ids=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest, places: list[Place]) -> Iterator[Connection]:
    """What a server has of it."""
    index = Index(places[request.param], Limits())
    with index.look() as found:
        yield found
    index.close()


def walked(ask: Callable[..., Any], limit: int, sort: str) -> list[Any]:
    found, cursor = [], None
    while True:
        page = ask(paging=Paging(cursor, limit, sort))
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("sort", ["happened", "-happened"])
def test_events_of_an_account_are_those_that_name_it_in_either_place(
    connection: Connection, sort: str
) -> None:
    columns = tables.events.c
    pairs = connection.execute(select(columns.account, columns.other)).all()
    assert any(pair.account == pair.other is not None for pair in pairs)
    for account in {name for pair in pairs for name in pair if name is not None}:
        named = select(columns.block_number, columns.log_index)
        named = named.where(or_(columns.account == account, columns.other == account))
        expected = sorted(map(tuple, connection.execute(named)), reverse=sort.startswith("-"))
        found = walked(partial(queries.events, connection, account=account), 5, sort)
        assert [(event.block_number, event.log_index) for event in found] == expected


def test_tasks_of_a_time_are_those_published_in_it(connection: Connection) -> None:
    column = tables.tasks.c.published_at
    times = sorted(set(connection.execute(select(column)).scalars()))
    for time in (times[0] - 1, *times, times[-1] + 1):
        for name, condition in (("since", column >= time), ("before", column < time)):
            wanted = set(connection.execute(select(tables.tasks.c.address).where(condition)).scalars())
            found = queries.tasks(connection, paging=Paging(limit=500), **{name: time})
            assert {task.address for task in found.items} == wanted, name
