"""Where an index is kept: alike in both databases, one writer, no other chain, whatever befalls a server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, inspect, make_url
from sqlalchemy.exc import OperationalError

from ogpu.databases import is_trouble
from ogpu.errors import ConfigurationError, FinalityBroken, IndexBusy, IndexFailed, IndexMismatch
from ogpu.indexer.database import MIGRATIONS, Database
from ogpu.indexer.documents import Bounds
from ogpu.indexer.keep import Keeping, keep_index
from ogpu.indexer.place import Place, place_of
from ogpu.indexer.run import Indexer
from ogpu.indexer.store import Identity, Store
from ogpu.indexer.trouble import trouble
from ogpu.rpc.steps import FINALITY
from ogpu.rpc.transport import RPC
from tests.support.indexing import PATIENCE, POLL, dumped, indexed
from tests.support.postgres import PostgresServer
from tests.support.story import Story, story

SOON = 0.1  # seconds
CHAIN = Identity(1, "0x" + "aa" * 32, "0x" + "11" * 20, 0)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A chain on which much has happened."""
    with story(7, tmp_path_factory.mktemp("node")) as made:
        made.live(FINALITY + 20)
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place without an index."""
    if request.param == "sqlite":
        return place_of(tmp_path / "index.sqlite3")
    server: PostgresServer = request.getfixturevalue("server")
    return place_of(server.fresh_schema())


@contextlib.contextmanager
def opened(place: Place, identity: Identity = CHAIN) -> Iterator[Store]:
    """An index that somebody writes."""
    store = Store(Database(place, patience=SOON), identity)
    store.open()
    try:
        yield store
    finally:
        store.close()


def test_both_databases_hold_the_same_bytes(told: Story, tmp_path: Path, server: PostgresServer) -> None:
    one = dumped(indexed(told.network, tmp_path / "index.sqlite3"))
    assert one.count(b"\n") > 200
    assert dumped(indexed(told.network, server.fresh_schema())) == one


def test_an_index_has_one_writer_at_a_time(place: Place) -> None:
    with opened(place):
        second = Store(Database(place, patience=SOON), CHAIN)
        with pytest.raises(IndexBusy) as raised:
            second.open()
        second.close()
    assert raised.value.facts["reason"] == "busy"
    with opened(place):
        pass  # the first one has left it


@pytest.mark.parametrize(
    ("field", "value"), [("chain_id", 2), ("genesis", "0x" + "bb" * 32), ("nexus", "0x" + "22" * 20)]
)
def test_the_index_of_another_chain_is_left_as_it_is(place: Place, field: str, value: object) -> None:
    with opened(place):
        pass
    other = Identity(**{**{name: getattr(CHAIN, name) for name in CHAIN.__dataclass_fields__}, field: value})
    store = Store(Database(place), other)
    with pytest.raises(IndexMismatch) as raised:
        store.open()
    store.close()
    assert raised.value.facts["reason"] == field
    with opened(place) as again:
        assert again.open().cursor.number == -1


def add_a_note(connection: Connection) -> None:
    """A migration."""
    connection.exec_driver_sql("ALTER TABLE sources ADD COLUMN note TEXT")


def test_an_older_index_is_brought_forward_and_a_newer_one_refused(place: Place) -> None:
    with opened(place):
        pass
    newer = Store(Database(place, [*MIGRATIONS, add_a_note]), CHAIN)
    newer.open()
    newer.close()
    older = Store(Database(place), CHAIN)
    with pytest.raises(IndexMismatch) as raised:
        older.open()
    older.close()
    assert raised.value.facts == {"index": place.name, "reason": "newer", "version": len(MIGRATIONS) + 2}


def test_a_migration_that_fails_changes_nothing(place: Place) -> None:
    with opened(place):
        pass

    def half(connection: Connection) -> None:
        add_a_note(connection)
        raise RuntimeError("on the way")

    broken = Store(Database(place, [*MIGRATIONS, half]), CHAIN)
    with pytest.raises(RuntimeError):
        broken.open()
    broken.close()
    database = Database(place)
    with database.transaction() as connection:
        assert "note" not in {column["name"] for column in inspect(connection).get_columns("sources")}
    database.close()


def test_another_programs_file_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "theirs.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE precious (stone)")
        theirs.commit()
    before = file.read_bytes()
    store = Store(Database(place_of(file)), CHAIN)
    with pytest.raises(IndexMismatch):
        store.open()
    store.close()
    with contextlib.closing(sqlite3.connect(file)) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    assert len(file.read_bytes()) == len(before)


def test_a_url_of_another_database_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="mysql"):
        place_of("mysql://me:secret@host/db")


async def until_it_ends(indexer: Indexer) -> None:
    async with asyncio.timeout(30):
        await indexer.run()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_all_text_is_refused(server: PostgresServer, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
    with pytest.raises(IndexFailed, match="ENCODING 'UTF8'") as raised, opened(place_of(url)):
        pass
    assert (raised.value.facts["reason"], raised.value.facts["encoding"]) == ("encoding", encoding)


def test_a_network_that_does_not_name_the_manager_gives_the_same_index(told: Story, tmp_path: Path) -> None:
    contracts = {name: address for name, address in told.network.contracts.items() if name != "MANAGER"}
    public = indexed(replace(told.network, contracts=contracts), tmp_path / "public.sqlite3")
    whole = dumped(indexed(told.network, tmp_path / "whole.sqlite3"))
    assert b"RoleGranted" in whole
    assert dumped(public) == whole


def test_that_no_documents_are_fetched_any_more_is_told_while_the_index_goes_on(
    told: Story, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OGPU_CONTENT_STORE", "ftp://nowhere")

    async def work() -> None:
        job = Keeping(told.network, place_of(tmp_path / "index.sqlite3"), bounds=Bounds())
        keeping = asyncio.create_task(keep_index(job))
        async with asyncio.timeout(PATIENCE):
            while "fetching documents ended" not in caplog.text:
                await asyncio.sleep(POLL)
        assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(work())


def test_a_file_that_is_no_database_ends_with_an_error_of_its_own(told: Story, tmp_path: Path) -> None:
    file = tmp_path / "index.sqlite3"
    file.write_text("These are no tables. " * 1000)

    async def work() -> None:
        rpc = RPC(told.network.rpc_urls, told.network.chain_id)
        try:
            await until_it_ends(Indexer(rpc, told.network, place_of(file)))
        finally:
            await rpc.close()

    with pytest.raises(IndexFailed) as raised:
        asyncio.run(work())
    assert raised.value.facts["reason"] == "foreign"


def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    told: Story, tmp_path: Path, server: PostgresServer
) -> None:
    fresh = dumped(indexed(told.network, tmp_path / "fresh.sqlite3"))
    place = place_of(server.fresh_schema())
    number, _ = told.head()

    async def work() -> None:
        rpc = RPC(told.network.rpc_urls, told.network.chain_id)
        indexer = Indexer(rpc, told.network, place, poll=POLL)
        running = asyncio.create_task(indexer.run())
        try:
            async with asyncio.timeout(60):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                while indexer.progress.number < number and not running.done():
                    await asyncio.sleep(POLL)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await rpc.close()

    asyncio.run(work())
    assert dumped(place) == fresh


def test_a_chain_that_is_another_below_what_is_final_ends_it_and_says_what_to_do(
    told: Story, tmp_path: Path
) -> None:
    place = indexed(told.network, tmp_path / "index.sqlite3")
    with contextlib.closing(sqlite3.connect(place.path or "")) as index:
        index.execute("UPDATE blocks SET hash = '0x' || hex(zeroblob(32))")
        index.execute("UPDATE cursor SET hash = '0x' || hex(zeroblob(32))")
        index.commit()

    async def work() -> None:
        rpc = RPC(told.network.rpc_urls, told.network.chain_id)
        try:
            await until_it_ends(Indexer(rpc, told.network, place, poll=POLL))
        finally:
            await rpc.close()

    with pytest.raises(FinalityBroken, match="ogpu index rebuild"):
        asyncio.run(work())


def test_a_disk_that_is_full_for_a_while_is_waited_for(told: Story, tmp_path: Path) -> None:
    fresh = dumped(indexed(told.network, tmp_path / "fresh.sqlite3"))
    limits = [20, 120]  # pages, of the first connections; the tables alone take more than the first

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        if limits:
            connection.execute(f"PRAGMA max_page_count = {limits.pop(0)}")

    event.listen(Engine, "connect", limit)
    try:
        place = indexed(told.network, tmp_path / "index.sqlite3")
    finally:
        event.remove(Engine, "connect", limit)
    assert limits == []
    assert dumped(place) == fresh


@pytest.mark.parametrize(
    ("error", "reason", "passes"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "full", True),
        (PermissionError(errno.EACCES, "Permission denied"), "permission", False),
        (OperationalError("SELECT 1", {}, Exception("connection refused")), "away", True),
        (OperationalError("SELECT 1", {}, Exception("password authentication failed")), "login", False),
    ],
)
def test_trouble_is_told_from_what_waiting_helps(error: Exception, reason: str, passes: bool) -> None:
    assert is_trouble(error)
    told = trouble(error, place_of("postgresql://me:secret@host/db"))
    assert (told.facts["reason"], told.retryable) == (reason, passes)
    assert "secret" not in str(told)
