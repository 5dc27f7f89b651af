"""A journal that cannot be written: nothing is sent, whoever asks is told, and later it is done once."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import postgres
from tests.support.crash import Child, child
from tests.support.crashing import Program, runs
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy
from tests.support.stage import Case
from tests.support.trouble import FULL, locks, meets_a_full_disk, meets_a_limit

from ogpu import Client
from ogpu.errors import JournalUnavailable
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal

STORES = ("sqlite", "postgresql")
SHORT = 1.0  # seconds of patience
WHILE = 0.3  # seconds in which nothing may happen


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One server for all tests."""
    with postgres.running() as running:
        yield running


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a journal, empty: of the store that the test is for."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.sqlite3")
    server: PostgresServer = request.getfixturevalue("server")
    return server.fresh_schema()


@pytest.fixture
def proxy(case: Case) -> Iterator[Proxy]:
    with case.proxy() as running:
        yield running


def program_of(case: Case, proxy: Proxy, where: str, tasks: int) -> Program:
    """A program that publishes tasks one after the other."""
    keys = tuple(f"{secrets.token_hex(3)}-{number}" for number in range(tasks))
    return Program(case.through(proxy.url), case.key, case.source, where, keys)


def done_once(case: Case, program: Program, told: list[str]) -> None:
    """Chain, journal and what was told are one, and the next process is told the same."""
    found = case.check(list(program.keys))
    assert [found.executions[key][0].tasks[0] for key in program.keys] == [a.lower() for a in told]
    with child(runs, program) as later:
        assert later.receive() == dict(zip(program.keys, told, strict=True))
    rows = journal_rows(program.journal)
    assert_journal_equals_chain(rows, case.found())
    assert rows.states() == dict.fromkeys(program.keys, "done")


# --- full


@pytest.mark.parametrize("writes", [-1, 0, 1], ids=["opening", "lease", "intent"])
def test_nothing_is_sent_that_found_no_room_in_the_journal(
    case: Case, proxy: Proxy, tmp_path: Path, writes: int
) -> None:
    program = program_of(case, proxy, str(tmp_path / "journal.sqlite3"), 2)
    with child(meets_a_limit, program, writes) as running:
        assert running.receive() == ["JournalError disk"] * 2
        assert not proxy.raw_sent
        assert not case.found().mined
        running.send("there is room")
        told = running.receive()
    done_once(case, program, told)


def test_what_is_mined_is_told_though_there_is_no_room_to_note_it(
    case: Case, proxy: Proxy, tmp_path: Path
) -> None:
    program = program_of(case, proxy, str(tmp_path / "journal.sqlite3"), 2)
    with child(meets_a_limit, program, 2) as running:
        first, second = running.receive()
        assert second == "JournalError disk"
        case.check([program.keys[0]])
        assert journal_rows(program.journal).states() == {program.keys[0]: "pending"}
        running.send("there is room")
        told = running.receive()
    assert told[0] == first
    done_once(case, program, told)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A file system with room for little; raises `CalledProcessError` where this user cannot mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder, mounted(Path(folder) / "disk"):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


def filled(disk: Path) -> Path:
    """A file that takes all the room that a disk has left."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return ballast


if can_mount():  # elsewhere the limit of a file's size, below, stands in for the disk's

    def test_nothing_is_sent_while_the_disk_is_full(case: Case, proxy: Proxy, tmp_path: Path) -> None:
        with mounted(tmp_path / "disk") as disk:
            program = program_of(case, proxy, str(disk / "journal.sqlite3"), 3)
            with child(meets_a_full_disk, program) as running:
                (first,) = running.receive()
                ballast = filled(disk)
                running.send("full")
                assert running.receive() == ["JournalError full"] * 2
                assert len(proxy.raw_sent) == 1
                case.check([program.keys[0]])
                ballast.unlink()
                running.send("there is room")
                told = running.receive()
            assert told[0] == first
            done_once(case, program, told)


def test_nothing_is_sent_while_the_disk_of_the_database_is_full(
    case: Case, proxy: Proxy, server: PostgresServer
) -> None:
    where = server.fresh_schema()
    program = program_of(case, proxy, where, 3)
    with child(meets_a_full_disk, program) as running:
        (first,) = running.receive()
        server.execute(FULL, where)
        running.send("full")
        assert running.receive() == ["JournalError full"] * 2
        assert len(proxy.raw_sent) == 1
        case.check([program.keys[0]])
        server.execute("DROP TRIGGER full_disk ON ogpu_intents", where)
        running.send("there is room")
        told = running.receive()
    assert told[0] == first
    done_once(case, program, told)


# --- locked


@contextlib.contextmanager
def client_of(program: Program, journal: Journal | str) -> Iterator[Client]:
    with Client(program.network, private_key=program.private_key, journal=journal) as client:
        yield client


def publish(client: Client, program: Program, number: int) -> str:
    key = program.keys[number]
    return client.publish_task(program.task(key), idempotency_key=key)


def lock(holder: Child) -> None:
    """Let another program take the journal's write lock."""
    holder.send("lock")
    assert holder.receive() == "locked"


@pytest.mark.parametrize("killed", [False, True], ids=["let go", "killed"])
@pytest.mark.parametrize("where", STORES, indirect=True)
def test_a_locked_journal_is_given_up_after_a_while_and_nothing_is_sent(
    case: Case, proxy: Proxy, where: str, killed: bool
) -> None:
    program = program_of(case, proxy, where, 2)
    with (
        client_of(program, Journal(where, patience=SHORT)) as client,
        child(locks, where) as holder,
    ):
        told = [publish(client, program, 0)]
        lock(holder)
        for _ in range(2):
            with pytest.raises(JournalUnavailable) as caught:
                publish(client, program, 1)
            assert caught.value.retryable
        assert len(proxy.raw_sent) == 1
        case.check([program.keys[0]])
        if killed:
            holder.kill()
        else:
            holder.send("let go")
        told.append(publish(client, program, 1))
    done_once(case, program, told)


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_a_locked_journal_is_waited_for(case: Case, proxy: Proxy, where: str) -> None:
    program = program_of(case, proxy, where, 2)
    told: list[str] = []
    uploaded = threading.Event()

    def at(boundary: Boundary) -> None:
        if boundary is Boundary.UPLOADED and told:
            uploaded.set()

    with client_of(program, Journal(where, at=at)) as client, child(locks, where) as holder:
        told.append(publish(client, program, 0))
        lock(holder)
        waiting = threading.Thread(target=lambda: told.append(publish(client, program, 1)))
        waiting.start()
        assert uploaded.wait(60)
        waiting.join(WHILE)
        assert waiting.is_alive()
        assert len(proxy.raw_sent) == 1
        holder.send("let go")
        waiting.join(60)
        assert not waiting.is_alive()
    done_once(case, program, told)


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_what_is_mined_is_told_though_the_journal_is_locked_meanwhile(
    case: Case, proxy: Proxy, where: str
) -> None:
    program = program_of(case, proxy, where, 2)
    with child(locks, where) as holder:
        sends = iter([False, True])

        def at(boundary: Boundary) -> None:
            if boundary is Boundary.SENDING and next(sends, False):
                lock(holder)

        with client_of(program, Journal(where, at=at, patience=SHORT)) as client:
            told = [publish(client, program, number) for number in range(2)]
        case.check(list(program.keys))
        assert journal_rows(where).states()[program.keys[1]] == "pending"
        holder.send("let go")
        assert holder.receive() == "free"
    done_once(case, program, told)
