"""Hazards of a journal on a server: it is killed in the middle of publishing, and comes back soon or late."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy.exc import OperationalError
from tests.support import postgres
from tests.support.calls import Threads
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.localnet import wait_until
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy
from tests.support.stage import Case

from ogpu import Client
from ogpu.errors import JournalUnavailable
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal

MANY = 50
SHORT = 1.0  # seconds of patience
PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def one_server() -> Iterator[PostgresServer]:
    """One server for all."""
    with postgres.running() as running:
        yield running


@pytest.fixture
def server(one_server: PostgresServer) -> PostgresServer:
    """A server that runs, and that the test may kill."""
    one_server.start()
    return one_server


class Killer:
    """Kills the server at the nth time that a client comes to a boundary."""

    def __init__(self, server: PostgresServer, boundary: Boundary, nth: int, *, reply: bool = True) -> None:
        self.killed = threading.Event()
        self._server, self._boundary, self._nth, self._reply = server, boundary, nth, reply
        self._visits: Counter[Boundary] = Counter()

    def __call__(self, boundary: Boundary) -> None:
        self._visits[boundary] += 1
        if boundary is self._boundary and self._visits[boundary] == self._nth:
            self._server.kill()
            self.killed.set()
            if not self._reply:
                raise OperationalError("COMMIT", None, ConnectionResetError("the reply is lost"))


def publish(client: Client, case: Case, keys: list[str]) -> list[str]:
    """Publish by these keys; the addresses."""
    return list(client.publish_tasks([case.task(key) for key in keys], idempotency_keys=keys))


def check(case: Case, where: str, keys: list[str], addresses: list[str]) -> None:
    """Each key is executed once, as was told, and the journal has it so."""
    found, rows = case.check(keys), journal_rows(where)
    assert not found.waiting
    assert [found.executions[key][0].tasks[0] for key in keys] == [address.lower() for address in addresses]
    assert_journal_equals_chain(rows, found)
    assert rows.states() == dict.fromkeys(keys, "done")


@contextmanager
def a_client(
    case: Case, where: str, at: Callable[[Boundary], None], patience: float = PATIENCE
) -> Iterator[tuple[Client, Proxy]]:
    """A client of that journal, and the proxy through which it sends."""
    journal = Journal(where, at=at, patience=patience)
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=journal) as client,
    ):
        yield client, proxy


@pytest.mark.parametrize(
    ("boundary", "nth"),
    [
        (Boundary.SIGNED, 1),
        (Boundary.JOURNAL_WRITTEN, 2),  # of the intents, after that of the lease
        (Boundary.JOURNAL_COMMITTED, 2),
        (Boundary.SENDING, 1),
        (Boundary.RECEIPT_SEEN, 1),
    ],
)
def test_many_tasks_are_there_once_though_the_server_was_killed_and_started_in_their_midst(
    case: Case, server: PostgresServer, boundary: Boundary, nth: int, caplog: pytest.LogCaptureFixture
) -> None:
    where, keys = server.fresh_schema(), [f"key {number}" for number in range(MANY)]
    killer = Killer(server, boundary, nth)
    with a_client(case, where, killer) as (client, _):
        call = Threads(partial(publish, client, case, keys))
        assert killer.killed.wait(PATIENCE)
        wait_until(lambda: "is tried again" in caplog.text, PATIENCE, "a try without a server")
        server.start()
        (addresses,) = call.results()
        assert publish(client, case, keys) == addresses
    check(case, where, keys, addresses)


@pytest.mark.parametrize(
    ("boundary", "nth"), [(Boundary.LEASED, 1), (Boundary.SIGNED, 1), (Boundary.JOURNAL_WRITTEN, 2)]
)
def test_nothing_is_sent_while_the_server_is_down_for_longer_than_patience(
    case: Case, server: PostgresServer, boundary: Boundary, nth: int
) -> None:
    where, keys = server.fresh_schema(), ["one", "two", "three"]
    with a_client(case, where, Killer(server, boundary, nth), SHORT) as (client, proxy):
        with pytest.raises(JournalUnavailable) as caught:
            client.publish_task(case.task("one"), idempotency_key="one")
        assert caught.value.retryable
        results = client.publish_tasks(
            [case.task(key) for key in keys], idempotency_keys=keys, return_exceptions=True
        )
        assert [type(result) for result in results] == [JournalUnavailable] * 3
        assert not proxy.raw_sent
        server.start()
        addresses = publish(client, case, keys)
    check(case, where, keys, addresses)


def test_what_is_mined_is_told_though_the_server_is_gone_and_known_when_it_is_back(
    case: Case, server: PostgresServer
) -> None:
    where, keys = server.fresh_schema(), ["key"]
    with a_client(case, where, Killer(server, Boundary.RECEIPT_SEEN, 1), SHORT) as (client, _):
        addresses = publish(client, case, keys)
    server.start()
    assert journal_rows(where).states() == {"key": "pending"}
    with Client(case.through(), private_key=case.key, journal=where) as client:
        assert publish(client, case, keys) == addresses
    check(case, where, keys, addresses)


@pytest.mark.parametrize("key", ["key", None], ids=["with a key", "without a key"])
def test_what_was_stored_though_the_caller_was_told_otherwise_is_executed_once_when_asked_for_again(
    case: Case, server: PostgresServer, key: str | None
) -> None:
    """The reply to COMMIT is lost with the server, which stays away for longer than patience."""
    where, task = server.fresh_schema(), case.task("key")
    killer = Killer(server, Boundary.JOURNAL_COMMITTED, 2, reply=False)
    with a_client(case, where, killer, SHORT) as (client, proxy):
        with pytest.raises(JournalUnavailable):
            client.publish_task(task, idempotency_key=key)
        assert not proxy.raw_sent
        server.start()
        assert len(journal_rows(where).intents) == 1
        address = client.publish_task(task, idempotency_key=key)
        other = client.publish_task(case.task("other"), idempotency_key="other")
    found = case.check(["key", "other"])
    assert [found.executions[each][0].tasks[0] for each in ("key", "other")] == [
        address.lower(),
        other.lower(),
    ]
    assert_journal_equals_chain(journal_rows(where), found)
