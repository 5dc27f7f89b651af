"""Journals of every version: made, brought to the newest one with all that is in them, or refused."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from ogpu.errors import JournalIncompatible
from ogpu.tx.journal import Journal
from ogpu.tx.journal.database import Database
from ogpu.tx.journal.place import place_of
from ogpu.tx.journal.schema import MIGRATIONS, Migration, metadata
from ogpu.tx.journal.trouble import verdict
from tests.journal.values import CHAIN, SENDER, intent, on_a_loop, opened, stored
from tests.support.crash import Talk, child
from tests.support.journals import journal_rows

VERSION = "SELECT version FROM ogpu_schema_version"


def with_notes(connection: Connection) -> None:
    """A further version, as a later one may be; a second time it fails."""
    connection.exec_driver_sql("ALTER TABLE ogpu_intents ADD COLUMN note TEXT DEFAULT 'none'")
    time.sleep(0.1)  # others come meanwhile


def fails(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE ogpu_more (x INTEGER)")
    connection.exec_driver_sql("DELETE FROM ogpu_attempts")
    raise ArithmeticError


def migrated(where: str, *added: Migration) -> None:
    """Open a journal as a later version of the library does."""
    database = Database(place_of(where), migrations=[*MIGRATIONS, *added])
    try:
        with database.transaction():
            pass
    finally:
        database.close()


def plain(where: str, *statements: str) -> list[tuple[object, ...]]:
    """Carry statements out without the library; the last one's rows."""
    found: list[tuple[object, ...]] = []
    if where.startswith("postgresql"):
        with psycopg.connect(where, autocommit=True) as server:
            for statement in statements:
                cursor = server.execute(statement.encode())
                found = cursor.fetchall() if cursor.description else []
    else:
        with closing(sqlite3.connect(where, isolation_level=None)) as file:
            for statement in statements:
                found = file.execute(statement).fetchall()
    return found


async def refused(where: str) -> JournalIncompatible:
    """Why a journal is not opened; it is asked twice, since an answer must not depend on what was before."""
    async with opened(where) as journal:
        errors = []
        for _ in range(2):
            with pytest.raises(JournalIncompatible) as caught:
                await journal.find("k")
            errors.append((caught.value.message, caught.value.facts))
        assert errors[0] == errors[1]
        assert caught.value.facts["journal"] == journal.name
        return caught.value


@on_a_loop
async def test_the_tables_are_those_that_the_statements_name(where: str) -> None:
    async with opened(where) as journal:
        await journal.forget(CHAIN)
    seen: dict[str, set[str]] = {}

    def look(connection: Connection) -> None:
        for table in inspect(connection).get_table_names():
            seen[table] = {column["name"] for column in inspect(connection).get_columns(table)}

    migrated(where, look)
    wanted = {name: {column.name for column in table.columns} for name, table in metadata.tables.items()}
    assert seen == {**wanted, "ogpu_schema_version": {"version"}}


@on_a_loop
async def test_an_older_journal_becomes_a_newer_one_with_all_that_is_in_it(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
    before = journal_rows(where)
    assert plain(where, VERSION) == [(1,)]
    for _ in range(2):
        migrated(where, with_notes)
    assert plain(where, VERSION) == [(2,)]
    after = journal_rows(where)
    assert after.intents == tuple({**row, "note": "none"} for row in before.intents)
    assert (after.attempts, after.lanes) == (before.attempts, before.lanes)


@on_a_loop
async def test_a_newer_journal_is_refused_and_left_as_it_is(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
    migrated(where, with_notes)
    before = journal_rows(where)
    error = await refused(where)
    assert (error.facts["reason"], error.facts["version"]) == ("newer", 2)
    assert "Upgrade" in error.hint
    assert not error.retryable
    assert (journal_rows(where), plain(where, VERSION)) == (before, [(2,)])


@on_a_loop
async def test_a_newer_program_that_comes_while_we_write_ends_nothing_that_is_open(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        migrated(where, with_notes)
        await stored(journal, "b", first=1)
    assert [row["note"] for row in journal_rows(where).intents] == ["none", "none"]


@on_a_loop
async def test_a_migration_that_fails_changes_nothing(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
    before = journal_rows(where)
    with pytest.raises(ArithmeticError):
        migrated(where, with_notes, fails)
    assert (journal_rows(where), plain(where, VERSION)) == (before, [(1,)])
    async with opened(where) as journal:
        assert await journal.find("a") == intent("a", 0)


def migrates(talk: Talk, where: str) -> None:
    talk.say("ready")
    talk.hear()
    while True:
        try:
            return migrated(where, with_notes)
        except OperationalError as error:
            if verdict(error, place_of(where)):  # else it is locked, and tried again as a writer does
                raise


@pytest.mark.parametrize("new", [True, False], ids=["new", "old"])
@on_a_loop
async def test_processes_that_migrate_at_once_do_it_once(where: str, new: bool) -> None:
    if not new:
        async with opened(where) as journal:
            await stored(journal, "a")
    with child(migrates, where) as one, child(migrates, where) as two, child(migrates, where) as three:
        for each in (one, two, three):
            assert each.receive() == "ready"
        for each in (one, two, three):
            each.send("go")
        for each in (one, two, three):
            assert each.receive() is None
    assert plain(where, VERSION) == [(2,)]
    assert [row["key"] for row in journal_rows(where).intents] == ([] if new else ["a"])


FOREIGN = {
    "a table of another program": ("CREATE TABLE ogpu_intents (x INTEGER)",),
    "another version table": (
        "CREATE TABLE ogpu_schema_version (name TEXT)",
        "INSERT INTO ogpu_schema_version VALUES ('1')",
    ),
    "no version": ("CREATE TABLE ogpu_schema_version (version INTEGER)",),
    "two versions": (
        "CREATE TABLE ogpu_schema_version (version INTEGER)",
        "INSERT INTO ogpu_schema_version VALUES (1), (1)",
    ),
    "a version below all": (
        "CREATE TABLE ogpu_schema_version (version INTEGER)",
        "INSERT INTO ogpu_schema_version VALUES (-1)",
    ),
    "a version of words": (
        "CREATE TABLE ogpu_schema_version (version TEXT)",
        "INSERT INTO ogpu_schema_version VALUES ('one')",
    ),
}


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
@on_a_loop
async def test_what_is_another_programs_is_refused(where: str, statements: tuple[str, ...]) -> None:
    plain(where, *statements)
    error = await refused(where)
    assert error.facts["reason"] == "foreign"
    assert "OGPU_JOURNAL" in error.hint
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        plain(where, "SELECT * FROM ogpu_lanes")


@on_a_loop
async def test_a_journal_without_its_tables_is_refused(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
    plain(where, "DROP TABLE ogpu_lanes")
    async with opened(where) as journal:
        with pytest.raises(JournalIncompatible):
            await journal.lane(CHAIN, SENDER)
        assert await journal.find("a") is not None  # and it is no trouble for what can be read


@on_a_loop
async def test_another_programs_file_is_refused_and_left_as_it_is(file: Path) -> None:
    for content in (b"not a database, by far" * 100, b"A=1"):
        file.write_bytes(content)
        assert (await refused(str(file))).facts["reason"] == "foreign"
        assert file.read_bytes() == content
    file.unlink()
    plain(str(file), "CREATE TABLE theirs (x INTEGER)", "INSERT INTO theirs VALUES (1)")
    assert (await refused(str(file))).facts["reason"] == "foreign"
    assert plain(str(file), "SELECT name FROM sqlite_master") == [("theirs",)]


@on_a_loop
async def test_a_server_database_may_be_another_programs_too(database: str) -> None:
    plain(database, "CREATE TABLE theirs (x INTEGER)")
    async with opened(database) as journal:
        await stored(journal, "a")
    assert plain(database, "SELECT * FROM theirs") == []


@on_a_loop
async def test_a_file_that_is_empty_is_a_new_journal(file: Path) -> None:
    file.touch()
    async with opened(file) as journal:
        await stored(journal, "a")


@on_a_loop
async def test_what_is_refused_can_be_used_once_it_is_mended(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        await journal.close()
    plain(where, "UPDATE ogpu_schema_version SET version = 7")
    again = Journal(where)
    with pytest.raises(JournalIncompatible):
        await again.find("a")
    plain(where, "UPDATE ogpu_schema_version SET version = 1")
    assert await again.find("a") is not None
    await again.close()
