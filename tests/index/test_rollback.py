"""What a rollback takes out, and what does not depend on how blocks come: row by row, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from sqlalchemy import func, select

from ogpu.errors import FinalityBroken, Reorganised
from ogpu.indexer import tables
from ogpu.indexer.database import Database
from ogpu.indexer.happenings import Decoder
from ogpu.indexer.items import Facts, Reader
from ogpu.indexer.place import Place, place_of
from ogpu.indexer.project import Batch
from ogpu.indexer.store import Identity, Store
from ogpu.networks import Network
from ogpu.rpc.codec import interface
from ogpu.rpc.follow import FINALITY, Block, Blocks, Cursor, RolledBack, follow
from ogpu.rpc.transport import RPC
from tests.support.http_servers import serving
from tests.support.indexing import dumped, index_to_head, indexed
from tests.support.localnet import rpc
from tests.support.postgres import PostgresServer
from tests.support.story import Story, story

BEFORE = Cursor(-1, "")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A chain on which much has happened."""
    with story(11, tmp_path_factory.mktemp("node")) as made:
        made.live(50)
        yield made


@pytest.fixture(scope="module")
def blocks(told: Story) -> list[Block]:
    """All of its blocks."""
    return asyncio.run(taken(told.network, told.head()[0]))


async def taken(network: Network, head: int) -> list[Block]:
    """The blocks of a chain up to a block."""
    connection, found = RPC(network.rpc_urls, network.chain_id), list[Block]()
    try:
        async with aclosing(follow(connection, Decoder(network).addresses)) as steps:
            async for step in steps:
                if isinstance(step, Blocks):
                    found += step.blocks
                if found and found[-1].number >= head:
                    return found
    finally:
        await connection.close()
    raise AssertionError


async def batches(network: Network, parts: Sequence[Sequence[Block]]) -> AsyncIterator[Batch]:
    """Blocks, with what belongs to them, none of them final."""
    connection = RPC(network.rpc_urls, network.chain_id)
    try:
        for part in parts:
            happenings = Decoder(network).of(part)
            facts = await Reader(connection, network).facts(happenings, part[-1], -1)
            yield Batch(part, happenings, facts, part[-1].number, -1)
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place without an index."""
    if request.param == "sqlite":
        return place_of(tmp_path / "index.sqlite3")
    server: PostgresServer = request.getfixturevalue("server")
    return place_of(server.fresh_schema())


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An empty index, open."""
    made = Store(Database(place), Identity(1, "0x" + "aa" * 32, "0x" + "11" * 20, 0))
    made.open()
    yield made
    made.close()


def fill(
    store: Store, told: Story, parts: Sequence[Sequence[Block]], place: Place, wanted: Sequence[int] = (-1,)
) -> list[bytes]:
    """Take parts one after the other; the index after those that are wanted."""
    looked = {number % len(parts) for number in wanted}

    async def work() -> list[bytes]:
        after, states, at = BEFORE, [], 0
        async for batch in batches(told.network, parts):
            store.take(batch, after)
            after = batch.blocks[-1].cursor
            if at in looked:
                states.append(dumped(place))
            at += 1
        return states

    return asyncio.run(work())


def test_dropped_blocks_leave_nothing_behind_and_restore_what_they_changed(
    told: Story, blocks: list[Block], store: Store, place: Place
) -> None:
    top = len(blocks) - 1
    numbers = sorted(random.Random(3).sample(range(top - FINALITY, top), 10))
    states = fill(store, told, [[block] for block in blocks], place, numbers)
    assert len(set(states)) == len(numbers)
    for number, state in reversed(list(zip(numbers, states, strict=True))):
        gone = tuple(block.cursor for block in reversed(blocks[number + 1 : top + 1]))
        store.roll_back(RolledBack(gone, blocks[number].cursor), blocks[top].cursor, 1_800_000_000, Facts())
        assert dumped(place) == state, f"block {number} is not as it was"
        top = number


def test_how_blocks_are_grouped_changes_nothing(
    told: Story, blocks: list[Block], store: Store, place: Place, tmp_path: Path
) -> None:
    (whole,) = fill(store, told, [blocks], place)
    dice, rest, parts = random.Random(5), list(blocks), []
    while rest:
        size = dice.randint(1, 12)
        parts.append(rest[:size])
        rest = rest[size:]
    other = place_of(tmp_path / "other.sqlite3")
    second = Store(Database(other), Identity(1, "0x" + "aa" * 32, "0x" + "11" * 20, 0))
    second.open()
    states = fill(second, told, parts, other)
    second.close()
    assert states[-1] == whole


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    told: Story, blocks: list[Block], store: Store, place: Place
) -> None:
    async def work() -> None:
        async for batch in batches(told.network, [blocks]):
            store.take(batch, BEFORE)
            once = dumped(place)
            store.take(batch, BEFORE)
            assert dumped(place) == once
            step = RolledBack((blocks[-1].cursor,), blocks[-2].cursor)
            for _ in range(2):
                store.roll_back(step, blocks[-1].cursor, 1_800_000_000, Facts())

    asyncio.run(work())
    database = Database(place)
    store.close()
    with database.transaction() as connection:
        assert connection.execute(select(func.count()).select_from(tables.reorganisations)).scalar() == 1
    database.close()


def test_a_node_without_old_states_gives_what_is_so_now(
    told: Story, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was started again: of blocks it has everything but what the contracts said then."""
    told.forget()
    place = indexed(told.network, tmp_path / "index.sqlite3")
    assert caplog.text.count("lacks the state") == 1
    database = Database(place)
    with database.transaction() as connection:
        accounts = connection.execute(select(tables.accounts)).mappings().all()
        tasks = connection.execute(select(tables.tasks)).mappings().all()
    database.close()
    assert len(tasks) > 5
    vault = told.network.contracts["VAULT"]
    for row in accounts:
        call = {"to": vault, "data": interface("Vault").functions["balanceOf"].encode(row["address"])}
        assert row["balance"] == int(rpc(told.url, "eth_call", call, "latest"), 16)


def test_figures_of_a_replica_on_another_fork_are_not_taken(told: Story, blocks: list[Block]) -> None:
    """Behind one URL whoever gives the figures is on a fork, and whoever gives only headers is not."""

    async def forked(request: web.Request) -> web.Response:
        calls = await request.json()
        async with ClientSession() as session, session.post(told.url, json=calls) as given:
            answers = await given.json()
        if isinstance(calls, list) and any(call["method"] == "eth_call" for call in calls):
            for call, answer in zip(calls, answers, strict=True):
                if call["method"] == "eth_getBlockByNumber":
                    answer["result"]["hash"] = "0x" + "ab" * 32
        return web.json_response(answers)

    async def work() -> None:
        app = web.Application()
        app.router.add_post("/", forked)
        async with serving(app) as url:
            async for _ in batches(replace(told.network, rpc_urls=(url,)), [blocks]):
                pass

    with pytest.raises(Reorganised):
        asyncio.run(work())


def test_a_first_block_that_is_final_is_not_taken_out(blocks: list[Block], place: Place) -> None:
    first = 3
    store = Store(Database(place), Identity(1, "0x" + "aa" * 32, "0x" + "11" * 20, first))
    after = store.open().cursor
    empty = [replace(block, logs=()) for block in blocks[first : first + FINALITY]]
    store.take(Batch(empty, [], Facts(), empty[-1].number, first), after)
    whole = dumped(place)
    step = RolledBack(tuple(block.cursor for block in reversed(empty)), blocks[first - 1].cursor)
    with pytest.raises(FinalityBroken) as raised:
        store.roll_back(step, empty[-1].cursor, 1_800_000_000, Facts())
    assert (raised.value.facts["number"], raised.value.facts["hash"]) == (first, empty[0].hash)
    assert dumped(place) == whole
    store.close()


def test_what_was_read_of_a_chain_that_is_gone_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The node lacks old states, so its newest one is read, of a block that is dropped then."""
    place = place_of(tmp_path / "index.sqlite3")
    with story(12, tmp_path / "node") as told:
        told.grow(30)
        told.forget()
        head, before = told.head()[0], rpc(told.url, "evm_snapshot")
        told.grow(8)
        asyncio.run(index_to_head(told.network, place))
        assert "lacks the state" in caplog.text
        wrong = dumped(place)
        rpc(told.url, "evm_revert", before)
        for _ in range(9):
            rpc(told.url, "evm_mine")
        asyncio.run(index_to_head(told.network, place))
        fresh = indexed(told.network, tmp_path / "fresh.sqlite3")
        assert told.head()[0] == head + 9
        assert wrong != dumped(place) == dumped(fresh)
