"""The server as a process: live changes, clients that do not read, a dead indexer, a chain wound back."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import delete

from ogpu.indexer import tables
from ogpu.indexer.place import place_of
from ogpu.web.failures import Unready
from ogpu.web.limits import Limits
from ogpu.web.reading import Index
from tests.support import postgres
from tests.support.impatient import impatient
from tests.support.localnet import RunningNetwork, started, wait_until
from tests.support.market import PRICE
from tests.support.serving import Server, raw, serve


def block_of(server: Server) -> int:
    """The last block in a server's index."""
    block = server.get("/readyz").json["block"]
    return -1 if block is None else int(block)


class Stream:
    """A listener of `/api/live`."""

    def __init__(self, server: Server, last_id: str = "") -> None:
        self._connection = http.client.HTTPConnection(*server.place, timeout=20)
        self._connection.request("GET", "/api/live", headers={"Last-Event-ID": last_id} if last_id else {})
        self.response = self._connection.getresponse()

    def message(self) -> dict[str, Any]:
        """The next message: `event`, `id` and `data`."""
        found: dict[str, Any] = {}
        while True:
            line = self.response.readline().decode()
            assert line, "the stream ended"
            name, _, value = line.strip().partition(": ")
            if line == "\n" and "event" in found:
                return {**found, "data": json.loads(found["data"])}
            if line == "\n":
                found = {}
            elif name:
                found[name] = value

    def events(self, kind: str) -> dict[str, Any]:
        """The next message with an event of that kind."""
        while True:
            message = self.message()
            if any(event["kind"] == kind for event in message["data"]["events"]):
                return message

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def deposit(network: RunningNetwork) -> None:
    network.transact("Vault", "deposit", network.address(), value=PRICE)


def test_changes_are_told_as_they_happen_and_those_missed_meanwhile(
    server: Server, worked_network: RunningNetwork
) -> None:
    stream = Stream(server)
    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    now = stream.message()
    assert now["event"] == "change"
    assert now["data"]["events"] == []
    deposit(worked_network)
    first = stream.events("Deposited")
    stream.close()
    deposit(worked_network)
    deposit(worked_network)
    head = int(worked_network.rpc("eth_blockNumber"), 16)
    wait_until(lambda: server.get("/api/status").json["data"]["number"] >= head, what="the index")
    again = Stream(server, first["id"])
    missed = again.message()["data"]
    again.close()
    kinds = [event["kind"] for event in missed["events"]]
    assert kinds.count("Deposited") == 2
    assert missed["number"] > first["data"]["number"]


def test_an_id_that_is_none_begins_anew_and_one_of_another_index_resets(server: Server) -> None:
    for unknown in ("nonsense", "1-2", "9" * 90, "١-١-١".encode().decode("latin-1")):
        stream = Stream(server, unknown)
        assert stream.message()["event"] == "change"
        stream.close()
    stream = Stream(server, "999999999-999999-0")
    assert stream.message()["event"] == "reset"
    assert stream.message()["event"] == "change"
    stream.close()


@pytest.fixture(scope="module")
def hasty(server: Server, worked_network: RunningNetwork) -> Iterator[Server]:
    """A further server on the same index, with little patience."""
    with impatient(server.log.with_name("index.sqlite3"), worked_network.file) as running:
        wait_until(running.ready, 60, "the index")
        yield running


def until_closed(connection: socket.socket) -> bytes:
    """What the other side still sends, until it closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            answer += more
    return answer


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: lo", b"GET"])
def test_a_client_that_never_finishes_its_request_is_cut_off(hasty: Server, said: bytes) -> None:
    with socket.create_connection(hasty.place, timeout=20) as connection:
        connection.sendall(said)
        assert until_closed(connection) == b""


def test_a_second_request_that_never_ends_is_cut_off_as_the_first(hasty: Server) -> None:
    with socket.create_connection(hasty.place, timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHo")
        assert until_closed(connection).count(b"HTTP/1.1 200") == 1


def test_clients_that_read_nothing_are_cut_off_and_hurt_nobody(hasty: Server) -> None:
    path = "/api/openapi.json"  # more than a connection's buffers take, when asked for often enough
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 100
    silent = []
    for _ in range(30):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(hasty.place)
        connection.sendall(request)
        silent.append(connection)
    for _ in range(20):
        assert hasty.get("/api/tasks").status == 200
    process = psutil.Process(hasty.process.pid)

    def open_ones() -> int:
        return sum(each.status == "ESTABLISHED" for each in process.net_connections("tcp"))

    wait_until(lambda: open_ones() == 0, 40, "the end of the silent ones")
    for connection in silent:
        connection.close()
    assert hasty.get("/healthz").status == 200


def test_streams_are_counted_and_end_with_their_clients(hasty: Server) -> None:
    streams = [Stream(hasty) for _ in range(4)]
    assert hasty.get("/api/live").error == "too_many_requests"
    for stream in streams:
        stream.message()
        stream.close()

    def listeners() -> str:
        (line,) = [line for line in hasty.get("/metrics").body.decode().splitlines() if "listeners 0" in line]
        return line

    wait_until(
        lambda: "ogpu_live_listeners 0.0" in hasty.get("/metrics").body.decode(), what="the end of streams"
    )
    assert listeners()
    stream = Stream(hasty)
    stream.message()
    assert stream.response.readline() == b": still here\n"
    stream.close()


def test_an_indexer_that_is_killed_is_told_of_and_started_again(
    worked_network: RunningNetwork, tmp_path: Path
) -> None:
    with serve(tmp_path, worked_network.file, "--max-behind", "1000") as running:
        wait_until(running.ready, 60, "the index")
        (indexer,) = psutil.Process(running.process.pid).children()
        os.kill(indexer.pid, signal.SIGKILL)
        told = wait_until(lambda: (answer := running.get("/readyz")).status == 503 and answer.json)
        assert "The indexer ended (exit code -9)" in told["reason"] or "started" in told["reason"]
        assert running.get("/api/tasks").status == 200
        deposit(worked_network)
        head = int(worked_network.rpc("eth_blockNumber"), 16)
        wait_until(lambda: running.get("/readyz").json["block"] == head, 60, "the index")
        wait_until(running.ready, what="a new indexer")
        assert "The indexer ended (exit code -9)" in running.said()
        (indexer,) = psutil.Process(running.process.pid).children()
        running.process.terminate()
        assert running.process.wait(20) in (0, 130, 143)
        assert not indexer.is_running()


def test_postgresql_answers_as_sqlite_does_and_is_only_read(
    server: Server, worked_network: RunningNetwork, tmp_path: Path
) -> None:
    paths = [f"/api/{name}" for name in ("tasks", "sources", "events", "statistics", "providers?sort=earned")]
    with postgres.running() as database:
        url = database.fresh_schema()
        with serve(tmp_path, worked_network.file, index=url) as running:
            head = int(worked_network.rpc("eth_blockNumber"), 16)
            for each in (server, running):
                wait_until(lambda each=each: each.get("/readyz").json["block"] == head, 60, "the index")
            for path in paths:
                assert running.get(path).json["data"] == server.get(path).json["data"], path
            cursor = running.get("/api/tasks?sort=payment&limit=2").json["next"]
            assert running.get(f"/api/tasks?sort=payment&limit=2&cursor={cursor}").status == 200
        reading = Index(place_of(url), Limits())
        with pytest.raises(Unready, match="ReadOnly"), reading.look() as connection:
            connection.execute(delete(tables.tasks))
        reading.close()


# --- `ogpu up`


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """A network whose page nobody has looked at."""
    with started(tmp_path_factory.mktemp("fresh"), "--no-provider") as network:
        yield network


def page_of(network: RunningNetwork) -> list[psutil.Process]:
    """The processes of the network's page."""
    children = psutil.Process(network.process.pid).children()
    return [each for each in children if "serve" in each.cmdline()]


def test_a_page_starts_when_somebody_looks_and_again_when_it_died(fresh: RunningNetwork) -> None:
    url = fresh.document["management_url"]
    wait_until(lambda: f"Page: {url}" in fresh.said(), what="the address")
    assert page_of(fresh) == []
    head = int(fresh.rpc("eth_blockNumber"), 16)
    assert raw(f"{url}/api/status")["data"]["number"] == head, "the first answer is as fresh as the chain"
    (process,) = page_of(fresh)
    process.kill()
    wait_until(lambda: "the page's process ended: exit code -9" in fresh.said(), what="the report")
    deposit(fresh)
    assert raw(f"{url}/api/status")["data"]["number"] == int(fresh.rpc("eth_blockNumber"), 16) > head
    assert len(page_of(fresh)) == 1


def test_a_chain_that_is_wound_back_deeper_than_is_final_is_indexed_anew(fresh: RunningNetwork) -> None:
    url = fresh.document["management_url"]
    before = raw(f"{url}/api/status")["data"]["number"]
    snapshot = fresh.rpc("evm_snapshot")
    for _ in range(3):
        deposit(fresh)
    fresh.rpc("anvil_mine", "0x50")
    head = int(fresh.rpc("eth_blockNumber"), 16)
    assert raw(f"{url}/api/status")["data"]["number"] == head >= before + 83
    assert raw(f"{url}/api/statistics")["data"]["totals"]["events"] > 0
    deposits = len(raw(f"{url}/api/movements?kind=Deposited")["data"])
    fresh.rpc("evm_revert", snapshot)
    deposit(fresh)
    head = int(fresh.rpc("eth_blockNumber"), 16)

    def found() -> bool:
        with contextlib.suppress(urllib.error.HTTPError):  # 503 while it is made
            return bool(raw(f"{url}/api/status")["data"]["number"] == head)
        return False

    wait_until(found, 60, "the new index")
    assert len(raw(f"{url}/api/movements?kind=Deposited")["data"]) == deposits - 2
