"""What was stored is there, whatever ends the process or the server; and only its owner can read it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from ogpu.tx.journal.database import Database
from ogpu.tx.journal.place import place_of
from ogpu.tx.journal.schema import MIGRATIONS
from tests.journal.values import intent, leased, on_a_loop, opened, stored
from tests.support.crash import ChildEnded, Talk, child, die
from tests.support.journals import journal_rows
from tests.support.postgres import PostgresServer


def asked(where: str | Path, *questions: str) -> list[object]:
    """What the database says of the journal's own connection."""
    answers: list[object] = []

    def ask(connection: Connection) -> None:
        answers.extend(connection.exec_driver_sql(question).scalar() for question in questions)

    database = Database(place_of(where), migrations=[*MIGRATIONS, ask])
    try:
        with database.transaction():
            return answers
    finally:
        database.close()


def test_a_file_is_written_through_to_the_disk_at_each_commit(file: Path) -> None:
    answers = asked(file, "PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys")
    assert answers == ["wal", 2, 1]  # 2 is FULL


@pytest.fixture
def careless(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server whose COMMIT returns long before anything is written."""
    server.configure("synchronous_commit = off", "wal_writer_delay = 10000")
    yield server
    server.configure("synchronous_commit = on", "wal_writer_delay = 200")


def test_a_server_that_would_not_wait_for_its_disk_is_told_to(careless: PostgresServer) -> None:
    assert asked(careless.fresh_schema(), "SHOW synchronous_commit") == ["on"]


def test_a_server_that_waits_for_more_is_left_alone(server: PostgresServer) -> None:
    url = server.fresh_schema().replace("options=", "options=-csynchronous_commit%3Dremote_apply%20")
    assert asked(url, "SHOW synchronous_commit") == ["remote_apply"]


@on_a_loop
async def test_a_server_that_is_killed_has_kept_what_was_stored(careless: PostgresServer) -> None:
    url = careless.fresh_schema()
    async with opened(url) as journal:
        await journal.forget("chain")
        careless.execute("CHECKPOINT")
        keys = [str(number) for number in range(20)]
        for number, key in enumerate(keys):
            await stored(journal, key, first=number)
        careless.kill()
        careless.start()
        assert [i.key for i in await journal.list()] == keys[::-1]


def ends_at(_: Talk, where: str, end: Boundary) -> None:
    """A process that stores "a", and ends at a boundary of storing "b"."""
    armed = False

    def at(boundary: Boundary) -> None:
        if armed and boundary is end:
            die()

    async def work() -> None:
        nonlocal armed
        journal = Journal(where, at=at)
        await stored(journal, "a")
        lease = await leased(journal)
        armed = True
        await journal.add(lease, [intent("b", 1), intent("c", 2)], 3)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("end", "keys"),
    [
        (Boundary.JOURNAL_BEGUN, ["a"]),
        (Boundary.JOURNAL_WRITTEN, ["a"]),
        (Boundary.JOURNAL_COMMITTED, ["c", "b", "a"]),
    ],
)
@on_a_loop
async def test_a_process_that_is_killed_has_stored_all_or_nothing(
    where: str, end: Boundary, keys: list[str]
) -> None:
    with child(ends_at, where, end) as killed, pytest.raises(ChildEnded):
        killed.receive()
    async with opened(where) as journal:
        assert [i.key for i in await journal.list()] == keys
        assert (await leased(journal)).next_nonce == len(keys)  # and the lane is not locked


@pytest.fixture
def no_mask() -> Iterator[None]:
    """New files would be everybody's."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_mask")
@on_a_loop
async def test_only_its_owner_can_read_a_journal(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    file = given / "made" / "also made" / "journal.sqlite3"
    async with opened(file) as journal:
        await stored(journal, "a")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == dict.fromkeys((file.name, f"{file.name}-wal", f"{file.name}-shm"), 0o600)
    folders = [given, given / "made", file.parent]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o755, 0o700, 0o700]


@on_a_loop
async def test_the_mode_of_a_file_that_is_there_is_its_owners_choice(file: Path) -> None:
    file.touch()
    file.chmod(0o640)
    async with opened(file) as journal:
        await stored(journal, "a")
        assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["with space", "ümläut", "50%25?x=1#y", "file:name", "'quote\"", "-dash"])
@on_a_loop
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / f"{name}.db"
    async with opened(file) as journal:
        await stored(journal, "a")
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    async with opened(str(file)) as journal:
        assert await journal.find("a") is not None


@on_a_loop
async def test_a_link_leads_to_the_file(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    async with opened(link) as one, opened(file) as two:
        await stored(one, "a")
        assert await two.find("a") is not None
    assert [row["key"] for row in journal_rows(file).intents] == ["a"]
