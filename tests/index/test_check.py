"""`check` finds nothing in an index that is right, and each value that was tampered with in another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Connection, Integer, Table, Text, delete, select, update

from ogpu.errors import NotFound, StateMissing
from ogpu.indexer import tables
from ogpu.indexer.check import Difference, Finding, Note, check, where_to_check
from ogpu.indexer.database import engine
from ogpu.indexer.place import Place
from ogpu.indexer.rows import Key
from ogpu.networks import Network, load_network_file
from ogpu.rpc.transport import RPC
from tests.support import postgres
from tests.support.indexing import indexed
from tests.support.localnet import RunningNetwork
from tests.support.past import Past, lived
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def past(bare_network: RunningNetwork) -> Iterator[Past]:
    """A chain on which all of the protocol has happened."""
    with lived(bare_network) as world:
        yield world


@pytest.fixture(scope="module")
def network(past: Past) -> Network:
    return load_network_file(past.network.file)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """Its index, in each database."""
    if request.param == "sqlite":
        return indexed(network, tmp_path_factory.mktemp("index") / "index.sqlite3")
    return indexed(network, request.getfixturevalue("server").fresh_schema())


@pytest.fixture
def index(place: Place) -> Iterator[Connection]:
    """A transaction in it, which is taken back."""
    with engine(place).connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def checked(network: Network, connection: Connection, *, at_head: bool = False) -> list[Finding]:
    async def work() -> list[Finding]:
        rpc = RPC(network.rpc_urls, network.chain_id)
        try:
            where = await where_to_check(connection, rpc, network, at_head=at_head)
            return [finding async for finding in check(connection, rpc, network, where)]
        finally:
            await rpc.close()

    return asyncio.run(work())


def differences(network: Network, connection: Connection) -> list[Difference]:
    return [each for each in checked(network, connection) if isinstance(each, Difference)]


def test_an_index_that_is_right_differs_in_nothing_but_what_no_event_tells(
    network: Network, index: Connection
) -> None:
    found = checked(network, index)
    assert [finding for finding in found if isinstance(finding, Difference)] == []
    notes = {(note.table, note.text.partition(" to ")[0]) for note in found if isinstance(note, Note)}
    assert notes == {("registrations", "has ended, which no event tells"), ("tasks", "was handed over")}


def other_than(column: Column[Any], value: Any) -> Any:
    """Another value that the column can hold."""
    kind = column.type
    if isinstance(kind, Boolean):
        return not value
    if isinstance(kind, tables.Wei | Integer):
        return (value or 0) + 1
    if isinstance(kind, Text) or value is None:
        return f"{value} tampered"
    return value[:-1] + ("c" if value[-1] != "c" else "d")


@pytest.mark.parametrize("table", tables.PROJECTED, ids=lambda table: table.name)
def test_every_column_that_is_tampered_with_is_named(
    network: Network, index: Connection, table: Table
) -> None:
    keys = list(table.primary_key)
    found = index.execute(select(table).order_by(*keys)).mappings().all()
    noted = {(each.table, each.key) for each in checked(network, index)}  # the chain says no more of these
    rows = [row for row in found if (table.name, tuple(row[key.name] for key in keys)) not in noted]
    assert rows
    left = [column for column in table.columns if not column.primary_key]
    while left:
        tampered: dict[Key, Column[Any]] = {}  # one column of a row at a time: one may hide another
        with index.begin_nested() as point:
            for column in list(left):
                free = [row for row in rows if tuple(row[key.name] for key in keys) not in tampered]
                filled = [row for row in rows if row[column.name] is not None] or rows
                row = next((row for row in filled if row in free), None)
                if row is None:
                    continue
                left.remove(column)
                tampered[tuple(row[key.name] for key in keys)] = column
                there = [key == row[key.name] for key in keys]
                value = other_than(column, row[column.name])
                index.execute(update(table).where(*there).values({column.name: value}))
            named = {(each.table, each.key, each.column) for each in differences(network, index)}
            point.rollback()
        unseen = [
            (column.name, key)
            for key, column in tampered.items()
            if not named
            & {(table.name, key, column.name), (table.name, key, f"{column.name.rpartition('_')[0]}_…")}
        ]
        assert unseen == []


@pytest.mark.parametrize("table", tables.PROJECTED, ids=lambda table: table.name)
def test_a_row_that_is_missing_is_named(network: Network, index: Connection, table: Table) -> None:
    keys = list(table.primary_key)
    row = index.execute(select(table).order_by(*(key.desc() for key in keys))).mappings().first()
    assert row is not None
    index.execute(delete(table).where(*(key == row[key.name] for key in keys)))
    found = {(each.table, each.key) for each in differences(network, index)}
    assert (table.name, tuple(row[key.name] for key in keys)) in found


def test_a_block_that_the_chain_dropped_is_named(network: Network, index: Connection) -> None:
    index.execute(update(tables.cursor).values(hash="0x" + "12" * 32))
    assert ("cursor", "hash") in {(each.table, each.column) for each in differences(network, index)}


def test_a_state_that_the_node_lacks_is_said_and_the_head_named(network: Network, index: Connection) -> None:
    index.execute(update(tables.cursor).values(number=10**6))
    with pytest.raises(StateMissing) as raised:
        checked(network, index)
    assert raised.value.facts["block"] == 10**6
    assert "head" in raised.value.hint
    index.execute(update(tables.cursor).values(number=tables.cursor.c.head))
    found = checked(network, index, at_head=True)
    assert not any(isinstance(each, Difference) for each in found)


def test_an_empty_index_is_said_to_be_empty(network: Network, index: Connection) -> None:
    index.execute(update(tables.cursor).values(number=-1))
    with pytest.raises(NotFound):
        checked(network, index)
