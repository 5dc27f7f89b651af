"""Many threads of many processes on one key: everything is published, and nothing twice."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import postgres
from tests.support.crash import Child, child
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.many import Share, dealt, publishes
from tests.support.stage import Case

PROCESSES, THREADS = 4, 8
FAULTS = 0.02
SILENCE = 1.0  # seconds until a request that is not answered ends
PATIENCE = 600.0  # seconds for all of it; a quiet machine takes 45
BASE = os.environ.get("OGPU_SEED") or secrets.token_hex(4)


def in_many_processes(
    case: Case, where: str, count: int, *, faults: float = FAULTS, together: int = 1
) -> None:
    """Publish by `count` keys, a tenth of them asked for twice at about the same time; look at all of it."""
    print(f"OGPU_SEED={BASE}")
    keys = [f"{BASE}-{number}" for number in range(count)]
    asked = [key for number, key in enumerate(keys) for key in [key] * (1 + (number % 10 == 0))]
    with case.proxy() as proxy, contextlib.ExitStack() as stack:
        proxy.silence = SILENCE
        proxy.rate(faults, int.from_bytes(BASE.encode()))
        network = case.through(proxy.url)
        running: list[Child] = [
            stack.enter_context(
                child(publishes, Share(network, case.key, case.source, where, threads, together))
            )
            for threads in dealt(asked, PROCESSES, THREADS)
        ]
        for each in running:
            assert each.receive() == "ready"
        for each in running:
            each.send("go")
        told = [call for each in running for call in each.receive(PATIENCE)]
        print(f"{proxy.requests} requests, {proxy.faults.total()} of them with faults")
        assert proxy.faults
    check(case, where, keys, asked, told)


def check(case: Case, where: str, keys: list[str], asked: list[str], told: list[tuple[str, str]]) -> None:
    """Each key is executed once, all its callers were told so, and the journal has it as the chain has."""
    found = case.check(keys)
    addresses: defaultdict[str, set[str]] = defaultdict(set)
    for key, address in told:
        addresses[key].add(address.lower())
    assert sorted(key for key, _ in told) == sorted(asked)
    assert addresses == {key: set(executed.tasks) for key, (executed,) in found.executions.items()}
    assert not found.waiting
    rows = journal_rows(where)
    assert_journal_equals_chain(rows, found)
    assert rows.states() == dict.fromkeys(keys, "done")
    assert [lane["next_nonce"] for lane in rows.lanes] == [found.next_nonce]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A journal on a server."""
    with postgres.running() as server:
        yield server.fresh_schema()


@pytest.mark.timeout(700)
def test_2000_by_8_threads_of_4_processes_with_faults_are_there_once(case: Case, tmp_path: Path) -> None:
    in_many_processes(case, str(tmp_path / "journal.sqlite3"), 2_000)


def test_the_same_on_one_postgresql_journal(case: Case, postgresql: str) -> None:
    in_many_processes(case, postgresql, 300)


def test_lists_published_by_many_threads_with_faults_are_there_once(case: Case, tmp_path: Path) -> None:
    in_many_processes(case, str(tmp_path / "journal.sqlite3"), 500, faults=0.1, together=25)
