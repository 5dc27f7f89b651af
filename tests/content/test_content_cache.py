"""The cache: what was checked once is had again without asking, and never believed unchecked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.http_servers import QUICK, client, run, serving

from ogpu import Client
from ogpu.content import CID as ContentID
from ogpu.content import AsyncContent, Limits, cid_of, parse_cid
from ogpu.content.cache import Cache
from ogpu.content.unixfs import KUBO_V1
from ogpu.errors import ContentMismatch, ContentTooLarge, ContentUnavailable

DATA = bytes(range(256)) * 40
CID = cid_of(DATA)


class Counting:
    """A gateway that counts what it is asked."""

    def __init__(self, *files: bytes) -> None:
        self.files = {cid_of(data): data for data in files} | {cid_of(data, KUBO_V1): data for data in files}
        self.asked = 0

    async def get(self, request: web.Request) -> web.Response:
        self.asked += 1
        data = self.files.get(request.match_info["cid"])
        return web.Response(status=404) if data is None else web.Response(body=data)


@contextlib.asynccontextmanager
async def cached(
    folder: Path, gateway: Counting, *, size: int = 1 << 20, limits: Limits = QUICK
) -> AsyncIterator[AsyncContent]:
    app = web.Application()
    app.router.add_get("/ipfs/{cid}", gateway.get)
    async with serving(app) as url, client(url, cache=Cache(folder, size), limits=limits) as content:
        yield content


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.endswith(".part"))


def test_what_was_fetched_once_is_not_asked_for_again_in_any_spelling(tmp_path: Path) -> None:
    async def scenario() -> None:
        gateway = Counting(DATA)
        async with cached(tmp_path / "cache", gateway) as content:
            assert await content.get_bytes(CID) == DATA
            v1 = str(ContentID(1, "dag-pb", parse_cid(CID).digest))
            for link in (CID, v1, f"ipfs://{CID}", f"https://{v1}.ipfs.example.org"):
                assert await content.get_bytes(link) == DATA
            seen: list[tuple[int, int | None]] = []
            size = await content.get_file(CID, tmp_path / "file", progress=lambda *done: seen.append(done))
            assert (size, seen) == (len(DATA), [(len(DATA), len(DATA))])
            assert gateway.asked == 1
        async with cached(tmp_path / "cache", Counting()) as content:  # another process, say
            assert await content.get_bytes(CID) == DATA

    run(scenario())
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "empty", "another", "folder", "link"])
@pytest.mark.parametrize("raw", [False, True])
def test_a_spoilt_entry_is_not_believed_and_is_replaced(tmp_path: Path, damage: str, raw: bool) -> None:
    async def scenario() -> None:
        gateway = Counting(DATA, b"another file")
        cid = cid_of(DATA, KUBO_V1) if raw else CID
        async with cached(tmp_path, gateway) as content:
            await content.get_bytes(cid)
            (entry,) = entries(tmp_path)
            spoil(entry, damage)
            assert await content.get_bytes(cid) == DATA
            assert gateway.asked == 2
            if damage != "folder":
                assert await content.get_bytes(cid) == DATA
                assert gateway.asked == 2

    run(scenario())


def spoil(entry: Path, damage: str) -> None:
    whole = entry.read_bytes()
    if damage in ("folder", "link"):
        entry.unlink()
        entry.mkdir() if damage == "folder" else entry.symlink_to("/etc/hostname")
        return
    entry.write_bytes(
        {
            "flip": whole[:5] + bytes((whole[5] ^ 1,)) + whole[6:],
            "cut": whole[:-1],
            "longer": whole + b"\0",
            "empty": b"",
            "another": b"another file",
        }[damage]
    )


def test_it_stays_within_its_bound_and_the_least_recently_used_leave(tmp_path: Path) -> None:
    files = [bytes((number,)) * 10_000 for number in range(40)]

    async def scenario() -> None:
        gateway = Counting(*files)
        async with cached(tmp_path, gateway, size=200_000) as content:
            for number, data in enumerate(files):
                await content.get_bytes(cid_of(data))
                os.utime(entry_of(tmp_path, data), (number, number))  # as if they were minutes apart
                if number:
                    await content.get_bytes(cid_of(files[0]))  # used again and again
                assert sum(path.stat().st_size for path in entries(tmp_path)) <= 200_000
            assert gateway.asked == 40
            assert entry_of(tmp_path, files[0]).exists()
            assert entry_of(tmp_path, files[-1]).exists()
            assert not entry_of(tmp_path, files[1]).exists()
            assert len(entries(tmp_path)) > 10

    run(scenario())


def entry_of(folder: Path, data: bytes) -> Path:
    return Cache(folder, 1)._path(parse_cid(cid_of(data)))


def test_many_small_files_count_what_they_take_on_disk(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100 * 4096)
    for number in range(300):
        data = str(number).encode()
        cache.keep(parse_cid(cid_of(data)), io.BytesIO(data))
    assert 80 <= len(entries(tmp_path)) <= 100


def test_what_is_larger_than_the_cache_is_fetched_and_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cached(tmp_path, Counting(DATA), size=len(DATA) - 1) as content:
            assert await content.get_bytes(CID) == DATA
        assert not entries(tmp_path)

    run(scenario())


def test_the_limit_of_bytes_holds_for_what_is_cached_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cached(tmp_path, Counting(DATA)) as content:
            await content.get_bytes(CID)
            with pytest.raises(ContentTooLarge):
                await content.get_bytes(CID, limits=Limits(max_bytes=len(DATA) - 1))
            assert await content.get_bytes(CID, limits=Limits(max_bytes=len(DATA))) == DATA

    run(scenario())


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "cache"

    async def scenario() -> None:
        async with cached(folder, Counting(DATA)) as content:
            await content.get_bytes(CID)

    old = os.umask(0)
    try:
        run(scenario())
    finally:
        os.umask(old)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in entries(folder)] == [0o600]


@pytest.mark.parametrize("trouble", ["a file", "no permission to make it"])
def test_a_cache_that_cannot_be_used_is_no_error(tmp_path: Path, trouble: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" if trouble == "a file" else Path("/proc/no-such-folder/cache")

    async def scenario() -> None:
        async with cached(folder, Counting(DATA)) as content:
            assert await content.get_bytes(CID) == DATA
            assert await content.get_bytes(CID) == DATA

    run(scenario())


def test_what_a_dead_process_left_unfinished_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    old, new = tmp_path / ".x.part", tmp_path / ".y.part"
    old.write_bytes(b"old")
    os.utime(old, (1, 1))
    new.write_bytes(b"new")
    Cache(tmp_path, 1 << 20).keep(parse_cid(CID), io.BytesIO(DATA))
    assert not old.exists()
    assert new.exists()


def test_what_cannot_be_verified_is_never_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        gateway = Counting()
        gateway.files[CID] = DATA + b"\0"
        async with cached(tmp_path / "cache", gateway) as content:
            for _ in range(2):
                with pytest.raises(ContentMismatch):
                    await content.get_bytes(CID)

    run(scenario())
    assert not (tmp_path / "cache").exists()


def test_a_client_caches_in_the_users_folder_unless_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("OGPU_CONTENT_GATEWAYS", "http://127.0.0.1:1")
    for setting, expected in (("off", 0), ("100000", 1)):
        monkeypatch.setenv("OGPU_CONTENT_CACHE", setting)
        gateway, ready, over = Counting(DATA), threading.Event(), threading.Event()
        url: list[str] = []
        thread = threading.Thread(target=asyncio.run, args=(_serve(gateway, url, ready, over),))
        thread.start()
        ready.wait(10)
        monkeypatch.setenv("OGPU_CONTENT_GATEWAYS", url[0])
        with Client("mainnet", content=f"folder:{tmp_path / 'empty'}") as client:
            cid = cid_of(DATA)
            limits = Limits(total_seconds=5, attempts=1, idle_seconds=1)
            assert client.content.get_bytes(cid, limits=limits) == DATA
        over.set()
        thread.join()
        assert len(list((tmp_path / "user").rglob("bafy*"))) == expected


async def _serve(gateway: Counting, url: list[str], ready: threading.Event, over: threading.Event) -> None:
    app = web.Application()
    app.router.add_get("/ipfs/{cid}", gateway.get)
    async with serving(app) as base:
        url.append(base)
        ready.set()
        await asyncio.to_thread(over.wait, 20)


# Writes and reads files at random, damages some, and checks all that it reads; fetches nothing.
BUSY = """
import io, os, random, sys
from pathlib import Path
from ogpu.content import cid_of, parse_cid
from ogpu.content.cache import Cache

folder, seed = Path(sys.argv[1]), sys.argv[2]
rng, cache, hits = random.Random(seed), Cache(folder, 300_000), 0
files = [bytes((number,)) * 9000 for number in range(60)]
cids = [parse_cid(cid_of(data)) for data in files]
for _ in range(400):
    number = rng.randrange(60)
    sink = io.BytesIO()
    if cache.read(cids[number], sink, 1 << 20):
        assert sink.getvalue() == files[number], "a wrong file was believed"
        hits += 1
    else:
        assert sink.getvalue() == b""
        cache.keep(cids[number], io.BytesIO(files[number]))
    if rng.random() < 0.05:
        path = cache._path(cids[rng.randrange(60)])
        if path.exists():
            with open(path, "r+b") as file:
                file.write(b"damaged")
print(hits)
"""


def test_many_processes_at_once_get_true_files_only(tmp_path: Path) -> None:
    seed = os.environ.get("OGPU_SEED") or secrets.token_hex(4)
    print(f"OGPU_SEED={seed}")
    folder = tmp_path / "cache"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", BUSY, str(folder), f"{seed}/{number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    hits = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sum(map(int, hits)) > 100
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]
    # Each counts the others' writes at its next look only, which comes after 64 of its own at the latest.
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 300_000 + 4 * 64 * 9000
    Cache(folder, 300_000).keep(parse_cid(CID), io.BytesIO(DATA))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 300_000


def test_without_any_gateway_the_cache_still_gives(tmp_path: Path) -> None:
    async def scenario() -> None:
        cache = Cache(tmp_path / "cache", 1 << 20)
        cache.keep(parse_cid(CID), io.BytesIO(DATA))
        async with client("http://127.0.0.1:9", cache=cache, limits=Limits(attempts=1)) as content:
            assert await content.get_bytes(CID) == DATA
            with pytest.raises(ContentUnavailable):
                await content.get_bytes(cid_of(b"not there"))

    run(scenario())
