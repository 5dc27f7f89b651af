"""A file or a disk that fails: what is wrong is said, nothing stored is lost, and all goes on after it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import sqlite3
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from ogpu.errors import JournalError, JournalUnavailable
from ogpu.tx.journal import Journal
from ogpu.tx.journal.database import Database
from ogpu.tx.journal.place import place_of
from ogpu.tx.journal.schema import MIGRATIONS
from ogpu.tx.journal.store import PATIENCE
from ogpu.tx.journal.trouble import verdict
from tests.journal.values import CHAIN, SENDER, intent, leased, on_a_loop, opened, stored
from tests.support.crash import Talk, child
from tests.support.journals import journal_rows

SHORT = 0.4  # seconds of patience
BIG = "0x" + "ab" * 20_000


async def fails(work: Awaitable[object]) -> JournalError:
    """What it raises, and why; its kind says whether trying again helps."""
    with pytest.raises(JournalError) as caught:
        await work
    error = caught.value
    assert isinstance(error, JournalUnavailable) == error.retryable
    assert error.hint
    assert error.__cause__ is not None
    return error


# --- locked


def locks(talk: Talk, file: Path) -> None:
    """Another program that has the file for itself until it is told to let go."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        talk.say("locked")
        talk.hear()
        database.execute("COMMIT")


@on_a_loop
async def test_a_locked_file_is_waited_for_and_then_given_up_and_then_used(file: Path) -> None:
    async with opened(file, patience=SHORT) as journal, opened(file) as patient:
        await stored(journal, "a")
        with child(locks, file) as other:
            other.receive()
            for _ in range(2):  # whoever asks later is as patient
                began = time.monotonic()
                error = await fails(journal.acquire(CHAIN, SENDER, "x", 1))
                assert SHORT / 2 < time.monotonic() - began < PATIENCE
                assert error.facts["reason"] == "unavailable"
                assert SHORT / 2 < error.facts["waited"] < PATIENCE
                await asyncio.sleep(2 * SHORT)
            assert await journal.find("a") is not None  # a lock keeps nobody from reading
            waiting = asyncio.create_task(stored(patient, "b", first=1))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            other.send("let go")
            await waiting
        await stored(journal, "c", first=2)
        assert len(await journal.list()) == 3


@on_a_loop
async def test_a_file_that_is_locked_when_it_is_opened_is_waited_for_too(file: Path) -> None:
    async with opened(file) as journal:
        await stored(journal, "a")
    with child(locks, file) as other:
        other.receive()
        async with opened(file, patience=SHORT) as journal:
            assert await journal.find("a") is not None
            assert (await fails(journal.forget(CHAIN))).retryable
        async with opened(file) as journal:
            waiting = asyncio.create_task(journal.forget(CHAIN))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            other.send("let go")
            await waiting


@on_a_loop
async def test_a_new_file_that_is_locked_is_waited_for_too(file: Path) -> None:
    sqlite3.connect(file).close()
    with child(locks, file) as other:
        other.receive()
        async with opened(file, patience=SHORT) as journal:
            assert (await fails(journal.find("a"))).retryable
            other.send("let go")
            other.receive()
            await stored(journal, "a")


@on_a_loop
async def test_all_that_wait_together_have_patience_together(file: Path) -> None:
    sqlite3.connect(file).close()  # so that reading it needs the lock too
    with child(locks, file) as other:
        other.receive()
        async with opened(file, patience=SHORT) as journal:
            began = time.monotonic()
            asked: list[Awaitable[object]] = []
            for number in range(10):
                asked += [asyncio.create_task(journal.find("a"))]
                asked += [asyncio.create_task(journal.forget(str(number)))]
                await asyncio.sleep(SHORT / 20)
            for each in asked:
                assert (await fails(each)).retryable
            assert time.monotonic() - began < 18 * SHORT  # and not 20 times
            other.send("let go")
            other.receive()
            assert await journal.find("a") is None


@on_a_loop
async def test_close_has_no_patience(file: Path) -> None:
    journal = Journal(file)
    await stored(journal, "a")
    with child(locks, file) as other:
        other.receive()
        waiting = asyncio.create_task(stored(journal, "b", first=1))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await journal.close()
        assert time.monotonic() - began < PATIENCE / 2
        assert (await fails(waiting)).retryable


# --- full


def fills(talk: Talk, file: Path) -> tuple[list[str], list[str]]:
    """A process that may not write files over a size; the keys that it stored before and after."""
    before: list[str] = []
    after: list[str] = []

    async def work() -> None:
        journal = Journal(file)
        await stored(journal, "first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        error = await fails(add_until_it_fails(journal, before))
        talk.say((error.message, error.hint, error.facts, error.retryable))
        assert await journal.find("first") is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for number in range(200, 220):
            await add_big(journal, number)
            after.append(str(number))
        await journal.close()

    asyncio.run(work())
    return before, after


async def add_until_it_fails(journal: Journal, added: list[str]) -> None:
    for number in range(100):
        await add_big(journal, number)
        added.append(str(number))


async def add_big(journal: Journal, number: int) -> None:
    await journal.add(await leased(journal), [intent(str(number), number, data=BIG)], number + 1)


def test_a_disk_that_is_full_loses_nothing_and_is_used_again(file: Path) -> None:
    """The limit of a process stands in for the disk: SQLite's writes fail just so."""
    with child(fills, file) as filling:
        message, hint, facts, retryable = filling.receive()
        before, after = filling.receive()
    assert (facts, retryable) == ({"journal": str(file), "reason": "disk"}, False)
    assert str(file) in message
    assert "limits" in hint
    assert before
    assert [row["key"] for row in journal_rows(file).intents] == ["first", *before, *after]


def test_a_file_that_may_not_grow_is_called_full(file: Path) -> None:
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 20")

    place = place_of(file)
    database = Database(place, migrations=[*MIGRATIONS, limit])
    added: list[str] = []

    def add_all() -> None:
        for number in range(100):
            with database.transaction() as do:
                lease = do.acquire(CHAIN, SENDER, "me", 60)
                assert lease is not None
                do.add(lease, [intent(str(number), number, data=BIG)], number + 1, True)
            added.append(str(number))

    with pytest.raises(OperationalError) as caught:
        add_all()
    database.close()
    told = verdict(caught.value, place)
    assert told is not None
    assert told.facts["reason"] == "full"
    assert "no room" in told.message
    assert added
    assert [row["key"] for row in journal_rows(file).intents] == added


# --- damaged


@on_a_loop
async def test_a_damaged_file_is_said_to_be_and_left_as_it_is(file: Path) -> None:
    async with opened(file) as journal:
        many = [intent(str(number), number, data=BIG) for number in range(20)]
        await journal.add(await leased(journal), many, 20)
    page, good = 4096, file.read_bytes()
    damaged = good[: 2 * page] + os.urandom(10 * page) + good[12 * page :]
    file.write_bytes(damaged)
    async with opened(file, patience=SHORT) as journal:
        error = await fails(journal.unsettled(CHAIN))
        assert error.facts["reason"] == "damaged"
        assert "Do not delete it" in error.hint
        assert file.read_bytes() == damaged
        copy = file.with_name("copy")
        copy.write_bytes(good)
        copy.replace(file)
        assert await journal.unsettled(CHAIN) == many  # from the copy that was put in its place


@on_a_loop
async def test_a_file_that_is_cut_off_is_damaged(file: Path) -> None:
    async with opened(file) as journal:
        many = [intent(str(number), number, data=BIG) for number in range(20)]
        await journal.add(await leased(journal), many, 20)
    os.truncate(file, 3 * 4096)
    async with opened(file, patience=SHORT) as journal:
        assert (await fails(journal.unsettled(CHAIN))).facts["reason"] == "damaged"


# --- not ours to write


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def is_kept_out(talk: Talk, file: Path) -> list[str]:
    """A process for which file modes hold, whoever runs it; the facts of what it met."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
    met: list[str] = []

    async def work() -> None:
        journal = Journal(file)
        with mode(file.parent, 0o500):
            met.append((await fails(journal.find("a"))).facts["reason"])
        await stored(journal, "0")
        await journal.close()
        for nonce, (bits, folder_bits) in enumerate(((0o400, 0o700), (0o000, 0o700), (0o600, 0o500)), 1):
            journal = Journal(file)
            with mode(file, bits), mode(file.parent, folder_bits):
                met.append((await fails(stored(journal, str(nonce), first=nonce))).facts["reason"])
            await stored(journal, str(nonce), first=nonce)  # by the same one, once it may
            await journal.close()

    asyncio.run(work())
    return met


def test_a_folder_or_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with child(is_kept_out, folder / "journal.sqlite3") as process:
        assert process.receive() == ["permission"] * 4
    assert [row["key"] for row in journal_rows(folder / "journal.sqlite3").intents] == list("0123")


@on_a_loop
async def test_what_cannot_be_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for where in (tmp_path, tmp_path / "file" / "journal.sqlite3"):
        async with opened(where) as journal:
            error = await fails(journal.find("a"))
            assert error.facts == {"journal": str(where), "reason": "permission"}
            assert str(where) in error.message
