"""A PostgreSQL server that is restarted, refuses, or fails."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ogpu.errors import ConfigurationError, JournalError, JournalIncompatible, JournalUnavailable
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from ogpu.tx.journal.database import LANE_WAIT
from ogpu.tx.journal.store import PATIENCE
from tests.journal.values import CHAIN, SENDER, intent, leased, on_a_loop, opened, stored
from tests.support.journals import journal_rows
from tests.support.postgres import PostgresServer

SHORT = 0.4  # seconds of patience
PASSWORD = "hush-hush"
END_OURS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'ogpu'"


@pytest.fixture
def killed_at_last(server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, which runs again after the test whatever the test did."""
    yield server
    server.start()


@on_a_loop
async def test_a_restart_is_waited_for(killed_at_last: PostgresServer, database: str) -> None:
    async with opened(database) as journal:
        await stored(journal, "a")
        lease = await leased(journal)
        killed_at_last.kill()
        waiting = asyncio.create_task(journal.add(lease, [intent("b", 1)], 2))
        reading = asyncio.create_task(journal.find("a"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert not reading.done()
        await asyncio.to_thread(killed_at_last.start)
        assert await reading == intent("a", 0)
        await waiting
        assert [i.key for i in await journal.list()] == ["b", "a"]


@on_a_loop
async def test_a_server_that_does_not_come_back_is_given_up_and_used_when_it_does(
    killed_at_last: PostgresServer, database: str
) -> None:
    async with opened(database, patience=SHORT) as journal:
        await stored(journal, "a")
        killed_at_last.kill()
        began = time.monotonic()
        with pytest.raises(JournalUnavailable) as caught:
            await journal.find("a")
        assert SHORT / 2 < time.monotonic() - began < PATIENCE
        assert caught.value.facts["reason"] == "unavailable"
        impatient = Journal(database)
        waiting = asyncio.create_task(impatient.find("a"))
        await asyncio.sleep(0.1)
        await impatient.close()
        with pytest.raises(JournalUnavailable):
            await waiting
        await asyncio.to_thread(killed_at_last.start)
        await stored(journal, "b", first=1)
        assert len(await journal.list()) == 2


@pytest.mark.parametrize("when", [Boundary.JOURNAL_BEGUN, Boundary.JOURNAL_WRITTEN])
@on_a_loop
async def test_a_connection_that_is_lost_amid_a_transaction_loses_nothing(
    server: PostgresServer, database: str, when: Boundary
) -> None:
    ends = iter([True])

    def lose(boundary: Boundary) -> None:
        if boundary is when and armed and next(ends, False):
            server.execute(END_OURS)

    armed = False
    async with opened(database, at=lose) as journal:
        await stored(journal, "a")
        leases = [await leased(journal, sender=f"0x{number}") for number in range(2)]
        armed = True
        await asyncio.gather(
            *(journal.add(lease, [intent(lease.sender, 0, sender=lease.sender)], 1) for lease in leases)
        )
        assert next(ends, None) is None
        assert [i.key for i in await journal.list()] == ["0x1", "0x0", "a"]


@on_a_loop
async def test_patience_is_counted_from_when_trouble_began(server: PostgresServer, database: str) -> None:
    """What has waited behind something slow has all its patience left when trouble comes."""
    slow, go_on = threading.Event(), threading.Event()

    def stop(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_COMMITTED and not slow.is_set():
            slow.set()
            assert go_on.wait(10)

    async with opened(database, at=stop, patience=SHORT) as journal:
        first = asyncio.create_task(journal.forget("first"))
        await asyncio.to_thread(slow.wait, 10)
        behind = asyncio.create_task(journal.forget("behind"))
        await asyncio.sleep(2 * SHORT)
        server.execute(END_OURS)
        go_on.set()
        await asyncio.gather(first, behind)


@on_a_loop
async def test_another_programs_lock_is_waited_for_and_then_given_up(database: str) -> None:
    async with opened(database, patience=SHORT) as journal, opened(database) as patient:
        await stored(journal, "a")
        with psycopg.connect(database) as other:
            other.execute("SELECT * FROM ogpu_lanes FOR UPDATE")
            began = time.monotonic()
            with pytest.raises(JournalUnavailable, match="lock timeout"):
                await journal.forget(CHAIN)
            assert time.monotonic() - began < LANE_WAIT
            assert await journal.find("a") is not None
            waiting = asyncio.create_task(stored(patient, "b", first=1))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting


def raising(database: str, code: str, times: int) -> None:
    """Let the server fail with a code of its own at the next inserts of attempts."""
    with psycopg.connect(database, autocommit=True) as server:
        server.execute("CREATE SEQUENCE failures")
        server.execute(
            f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END IF;
            RETURN NEW; END $$""".encode()
        )
        server.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON ogpu_attempts FOR EACH ROW EXECUTE FUNCTION fail()"
        )


@pytest.mark.parametrize(
    ("code", "reason"),
    [("53100", "full"), ("42501", "permission"), ("XX001", "damaged"), ("XX002", "damaged")],
)
@on_a_loop
async def test_what_does_not_go_away_by_itself_is_told_at_once(database: str, code: str, reason: str) -> None:
    async with opened(database) as journal:
        await stored(journal, "a")
        raising(database, code, times=1)
        before = journal_rows(database)
        lease = await leased(journal)
        with pytest.raises(JournalError, match="as told") as caught:
            await journal.add(lease, [intent("b", 1)], 2)
        assert (caught.value.facts["reason"], caught.value.retryable) == (reason, False)
        assert journal_rows(database).intents == before.intents
        await journal.add(lease, [intent("b", 1)], 2)


@pytest.mark.parametrize("code", ["40001", "40P01", "53200", "53300", "57P01", "25006"])
@on_a_loop
async def test_what_may_go_away_is_tried_again(
    database: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database) as journal:
        await stored(journal, "a")
        raising(database, code, times=2)
        with caplog.at_level(logging.WARNING):
            await stored(journal, "b", first=1)
        assert caplog.text.count("is tried again: as told") == 2
        assert [i.key for i in await journal.list()] == ["b", "a"]


@on_a_loop
async def test_a_value_that_the_server_refuses_is_no_trouble_of_the_journal(database: str) -> None:
    async with opened(database) as journal:
        await stored(journal, "a")
        raising(database, "22003", times=1)
        lease = await leased(journal)
        with pytest.raises(Exception, match="as told") as caught:
            await journal.add(lease, [intent("b", 1)], 2)
        assert not isinstance(caught.value, JournalError)


@pytest.mark.parametrize(
    "change", [("postgres:", "nobody:"), ("/postgres?", "/nothing?")], ids=["user", "database"]
)
@on_a_loop
async def test_a_refused_login_is_told_at_once_and_without_the_password(
    database: str, change: tuple[str, str]
) -> None:
    url = database.replace(*change).replace(":@", f":{PASSWORD}@")
    assert url.count(PASSWORD) == 1
    async with opened(url) as journal:
        began = time.monotonic()
        with pytest.raises(JournalError) as caught:
            await journal.find("a")
        assert time.monotonic() - began < PATIENCE / 2
        assert caught.value.facts["reason"] == "login"
        assert PASSWORD not in f"{caught.value} {caught.value.facts} {journal!r} {journal.name}"


@on_a_loop
async def test_a_role_that_may_not_create_tables_is_told_so(server: PostgresServer, database: str) -> None:
    schema = database.rpartition("%3D")[2]
    server.execute("CREATE ROLE guest LOGIN")
    async with opened(database.replace("postgres:", "guest:", 1)) as journal:
        for grant in ("SELECT 1", f"GRANT USAGE ON SCHEMA {schema} TO guest"):
            server.execute(grant)
            with pytest.raises(JournalError) as caught:
                await journal.find("a")
            assert caught.value.facts["reason"] == "permission"
            assert not isinstance(caught.value, JournalIncompatible)
        server.execute(f"GRANT CREATE ON SCHEMA {schema} TO guest")
        await stored(journal, "a")


@on_a_loop
async def test_a_server_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    url = f"postgresql://me:{PASSWORD}@/journal?host={quote(str(tmp_path), safe='')}"
    async with opened(url, patience=SHORT) as journal:
        with pytest.raises(JournalUnavailable) as caught:
            await journal.find("a")
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("url", [f"postgresql://me:p@ss:{PASSWORD}@host:port/x", "postgresql://host:port/x"])
@on_a_loop
async def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    async with opened(url) as journal:
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            await journal.find("a")
        told: BaseException | None = caught.value
        while told is not None:
            assert PASSWORD not in str(told) or told.__suppress_context__
            told = told.__cause__
        assert PASSWORD not in str(caught.value)


@on_a_loop
async def test_both_spellings_of_the_scheme_are_one_place(database: str) -> None:
    async with opened(database) as journal:
        await stored(journal, "a")
    for scheme in ("postgres://", "postgresql+psycopg://"):
        async with opened(database.replace("postgresql://", scheme)) as journal:
            assert await journal.find("a") is not None
            assert await journal.lane(CHAIN, SENDER) == 1
