"""Documents: what is linked to is kept by its CID, and nothing that a stranger can link to stops that."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import insert as insert_into
from sqlalchemy import text as statement

from ogpu.content import cid_of
from ogpu.content.cid import cid_of as name_of
from ogpu.content.unixfs import KUBO_V1
from ogpu.errors import ContentTooLarge, ContentUnavailable
from ogpu.indexer.database import engine as engine_of
from ogpu.indexer.documents import AT_ONCE, MOST_TRIES, Bounds, outcome_of
from ogpu.indexer.links import LONGEST_LINK, NO_CID
from ogpu.indexer.place import place_of
from ogpu.indexer.shelf import Shelf, Wanted
from ogpu.indexer.tables import reorganisations
from ogpu.localnet.processes import end_with_parent
from tests.support import postgres
from tests.support.http_servers import Conduct, Misbehaving, answer, drip, misbehaving, run, serving
from tests.support.linked import HASH, Items, fetching, kept, linked, settled, states
from tests.support.postgres import PostgresServer

HOST = "https://cipfs.ogpuscan.io/ipfs/"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres.running() as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def items(request: pytest.FixtureRequest, file: Path) -> Items:
    """Nothing yet, in each database."""
    if request.param == "sqlite":
        return Items(engine_of(place_of(file)))
    return Items(engine_of(place_of(request.getfixturevalue("server").fresh_schema())))


@pytest.fixture
def here(file: Path) -> Items:
    """Nothing yet, where the database does not matter."""
    return Items(engine_of(place_of(file)))


class Gateway:
    """An IPFS gateway that has some files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def add(self, data: bytes) -> str:
        """A link to one more file."""
        self.files[cid_of(data)] = data
        return HOST + cid_of(data)

    async def _file(self, request: web.Request) -> web.Response:
        cid = request.match_info["cid"]
        self.asked.append(cid)
        return web.Response(body=self.files[cid]) if cid in self.files else web.Response(status=404)

    def app(self) -> web.Application:
        """It as a server."""
        made = web.Application()
        made.router.add_get("/ipfs/{cid}", self._file)
        return made


def test_all_that_items_link_to_is_kept_under_its_cid(items: Items) -> None:
    gateway = Gateway()
    bodies = [json.dumps({"number": number}).encode() for number in range(40)]
    urls = [gateway.add(body) for body in bodies]
    items.source(urls[0])
    for url in urls[1:20]:
        items.task(url)
    for url in urls[20:]:
        items.response(url)
    items.task(urls[0])  # twice the same
    raw = b"one block"
    gateway.files[name_of(raw, KUBO_V1)] = raw
    items.response(name_of(raw, KUBO_V1))  # a bare CID
    items.response('{"answer": 42}')
    items.response("")

    async def work() -> None:
        async with serving(gateway.app()) as url:
            await fetching(items.engine, [url], lambda: settled(items.engine, 41))

    run(work())
    assert kept(items.engine) == {cid_of(body): body for body in bodies} | {name_of(raw, KUBO_V1): raw}
    assert set(linked(items.engine)) == {*urls, name_of(raw, KUBO_V1)}
    assert len(gateway.asked) == 41


def test_a_hostile_document_stops_no_other_one(items: Items) -> None:
    gateway, limit = Gateway(), 50_000
    nul, deep = b'{"a": "\0"}' + bytes(1000), b"[" * 40_000
    good = [nul, deep, b"{}"]
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    packed = answer("200 OK", b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip")
    conduct: dict[str, tuple[Conduct, str]] = {}

    def hostile(name: str, how: Conduct, state: str) -> str:
        cid = cid_of(name.encode())
        conduct[cid] = (how, state)
        return HOST + cid

    def raw(data: bytes) -> Conduct:
        async def write(writer: asyncio.StreamWriter, _count: int) -> None:
            writer.write(data)
            await writer.drain()

        return write

    urls = [
        hostile("drips", drip(head, b"x", 0.05), "failed"),
        hostile("endless", drip(head, bytes(20_000), 0), "refused"),
        hostile("announced", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"), "refused"),
        hostile("packed", raw(packed), "failed"),
        hostile("another", raw(answer("200 OK", b"not what the CID names")), "failed"),
        hostile("missing", raw(answer("404 Not Found", b"")), "failed"),
        hostile("broken", raw(b"\xff\x00 nonsense"), "failed"),
        hostile("redirects", raw(answer("302 Found", b"", "Location: http://127.0.0.1/")), "failed"),
        HOST + "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn/inner",
    ]
    urls += [gateway.add(body) for body in good]
    for url in urls:
        items.task(url)

    async def conducted(writer: asyncio.StreamWriter, count: int) -> None:
        cid = servers[0].requests[count].split()[1].rpartition("/")[2].partition("?")[0]
        if cid in conduct:
            await conduct[cid][0](writer, 0)
        else:
            writer.write(answer("200 OK", gateway.files[cid]))
            await writer.drain()

    async def work() -> None:
        async with misbehaving(conducted) as (url, bad):
            servers.append(bad)
            wanted = len(conduct) + len(good)
            await fetching(
                items.engine, [url], lambda: settled(items.engine, wanted), bounds=Bounds(limit, 10**6)
            )

    servers: list[Misbehaving] = []
    run(work())
    assert kept(items.engine) == {cid_of(body): body for body in good}
    found = states(items.engine)
    assert {cid: found[cid][0] for cid in conduct} == {cid: state for cid, (_, state) in conduct.items()}
    assert all(found[cid][1] for cid in conduct)
    assert linked(items.engine)[urls[8]][0] is None


def test_no_host_that_a_stranger_names_is_asked(here: Items) -> None:
    gateway, body = Gateway(), b"by its CID"

    async def work() -> list[str]:
        async with misbehaving(drip(b"", b"x", 1)) as (url, stranger), serving(gateway.app()) as own:
            gateway.add(body)
            here.task(f"{url}/ipfs/{cid_of(body)}")  # has a CID, which is asked for elsewhere
            reasons[f"{url}/config.json"] = "is not an https link"
            for link in reasons:
                here.task(link)
            await fetching(here.engine, [own], lambda: settled(here.engine, 1))
            return stranger.requests

    reasons = {
        "https://127.0.0.1/a": "has an address that is loopback",
        "https://169.254.169.254/latest": "has an address that is link-local",
        "https://[::1]/a": "has an address that is not of the public internet",
        "https://name@example.org/a": "has a user name in it",
        "https://example.org:8443/a": "has the port 8443; only 443 is asked",
        "https://example.org/config.json": NO_CID,
        "file:///etc/passwd": "is not an https link",
        "javascript:alert(1)": "is not an https link",
        "no link": "is not a URL",
        "https://example.org/" + "a" * 3000: "is longer than 2,048 characters",
        HOST + "bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi": "dag-cbor",
    }
    assert run(work()) == []
    assert kept(here.engine) == {cid_of(body): body}
    found = linked(here.engine)
    for link, reason in reasons.items():
        cid, refused = found[link[:LONGEST_LINK]]
        assert cid is None
        assert reason in str(refused), link


def test_a_server_that_never_answers_is_asked_last_from_then_on(here: Items) -> None:
    gateway = Gateway()
    for number in range(4 * AT_ONCE):
        here.task(gateway.add(f"document {number}".encode()))

    async def silent(writer: asyncio.StreamWriter, _count: int) -> None:
        await asyncio.sleep(3600)

    async def work() -> int:
        async with misbehaving(silent) as (url, bad), serving(gateway.app()) as good:
            await fetching(here.engine, [url, good], lambda: settled(here.engine, 4 * AT_ONCE))
            return len(bad.requests)

    assert run(work()) <= AT_ONCE
    assert len(kept(here.engine)) == 4 * AT_ONCE


def test_what_was_missing_is_asked_for_again_and_not_before_its_time(here: Items) -> None:
    gateway, clock = Gateway(), [1000.0]
    cid = gateway.add(b"late").removeprefix(HOST)
    late = gateway.files.pop(cid)
    here.task(HOST + cid)

    async def work() -> None:
        async with serving(gateway.app()) as url:
            await fetching(here.engine, [url], lambda: settled(here.engine, 1), now=lambda: clock[0])
            gateway.files[cid] = late
            here.task(gateway.add(b"another"))
            await fetching(here.engine, [url], lambda: settled(here.engine, 2), now=lambda: clock[0])
            assert states(here.engine)[cid][0] == "failed"
            clock[0] += 31
            await fetching(here.engine, [url], lambda: len(kept(here.engine)) == 2, now=lambda: clock[0])

    run(work())
    assert gateway.asked.count(cid) == 2


def test_pauses_grow_and_end() -> None:
    gone = [ContentUnavailable("not there")]
    pauses = [
        outcome_of(Wanted("Qm", "config", tries), gone, 10, 0.0).next_try for tries in range(MOST_TRIES - 1)
    ]
    assert pauses[:4] == [30, 60, 120, 240]
    assert pauses == sorted(pauses)
    assert max(pauses) <= 86_400
    last = outcome_of(Wanted("Qm", "config", MOST_TRIES - 1), gone, 10, 0.0)
    assert (last.state, last.error) == ("refused", f"Given up after {MOST_TRIES} tries. not there")
    mixed = outcome_of(Wanted("Qm", "config", 0), [*gone, ContentTooLarge("says one of them")], 10, 0.0)
    assert mixed.state == "failed"


def test_bytes_are_bounded_and_what_was_refused_for_that_comes_once_the_bound_is_raised(here: Items) -> None:
    gateway = Gateway()
    large = gateway.add(bytes(5000))
    here.task(large)

    async def work(until: Callable[[], bool], bounds: Bounds) -> None:
        async with serving(gateway.app()) as url:
            await fetching(here.engine, [url], until, bounds=bounds)

    run(work(lambda: settled(here.engine, 1), Bounds(1000, 10**6)))
    assert list(states(here.engine).values()) == [("refused", "It has more than 1,000 bytes.")]
    run(work(lambda: len(kept(here.engine)) == 1, Bounds(6000, 10**6)))
    here.task(gateway.add(bytes(2000)))
    run(work(lambda: settled(here.engine, 2), Bounds(6000, 6000)))
    assert states(here.engine)[cid_of(bytes(2000))] == (
        "refused",
        "The index keeps at most 6,000 bytes of documents.",
    )
    run(work(lambda: len(kept(here.engine)) == 2, Bounds(6000, 7000)))


def test_what_a_reorganisation_put_in_the_place_of_another_item_is_looked_at(items: Items) -> None:
    shelf = Shelf(items.engine)
    shelf.open(1000, 10**6)
    items.task(HOST + cid_of(b"stays"), block=5, final=1)
    items.task(HOST + cid_of(b"goes"), block=7, final=1)
    assert not shelf.look(0)
    items.drop_from(7)
    items.task(HOST + cid_of(b"comes"), block=7, final=1)
    assert not shelf.look(0)
    assert cid_of(b"comes") not in states(items.engine)  # nobody has told of a reorganisation
    with items.engine.begin() as connection:
        fork = {"seen_at": 0, "fork_number": 6, "fork_hash": HASH, "depth": 1, "dropped": "[]"}
        connection.execute(insert_into(reorganisations), fork)
    assert not shelf.look(0)
    assert set(states(items.engine)) == {cid_of(word) for word in (b"stays", b"goes", b"comes")}


def test_a_restart_goes_back_to_what_was_final(items: Items) -> None:
    shelf = Shelf(items.engine)
    shelf.open(1000, 10**6)
    items.task(HOST + cid_of(b"final"), block=5, final=1)
    items.task(HOST + cid_of(b"goes"), block=7, final=5)
    shelf.look(0)
    items.drop_from(7)
    items.task(HOST + cid_of(b"comes"), block=6, final=5)
    again = Shelf(items.engine)
    again.open(1000, 10**6)
    again.look(0)
    assert cid_of(b"comes") in states(items.engine)
    with items.engine.connect() as connection:
        assert connection.execute(statement("SELECT block_number FROM link_scan")).all() == [(5,)]


FETCH = """
import asyncio, sys
from pathlib import Path
from tests.support.linked import network_at
from ogpu.indexer.database import engine
from ogpu.indexer.documents import Bounds, Documents
from ogpu.indexer.place import place_of
asyncio.run(Documents(engine(place_of(Path(sys.argv[1]))), *network_at(sys.argv[2]), Bounds()).run())
"""


def test_a_worker_that_is_killed_again_and_again_gets_all_of_it_in_the_end(here: Items, file: Path) -> None:
    gateway, count = Gateway(), 400
    for number in range(count):
        here.task(gateway.add(f"document {number}".encode() * 50))

    def started(url: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", FETCH, str(file), url]
        return subprocess.Popen(command, env=environment, preexec_fn=end_with_parent())

    async def until_kept(process: subprocess.Popen[bytes], least: int) -> None:
        async with asyncio.timeout(30):
            while len(kept(here.engine)) < least:
                assert process.poll() is None
                await asyncio.sleep(0.005)

    async def work() -> None:
        async with serving(gateway.app()) as url:
            for least in (1, 60, 200, count):
                process = started(url)
                await until_kept(process, least)
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)

    run(work())
    found = kept(here.engine)
    assert found == gateway.files
    assert len(gateway.asked) <= count + 3 * AT_ONCE  # what was under way when it was killed
