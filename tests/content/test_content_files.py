"""Files: streamed both ways, checked before they have their name, and whole or not there at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from aiohttp import web
from tests.support.http_servers import (
    QUICK,
    answer,
    answers,
    client,
    content_service,
    drip,
    misbehaving,
    run,
    serving,
)

from ogpu.content import Limits, cid_of, cid_of_file, file_matches, parse_cid
from ogpu.content.receiver import Receiver
from ogpu.content.threads import in_thread
from ogpu.content.upload import FileUpload
from ogpu.errors import ContentFileError, ContentMismatch, ContentTooLarge, ContentUnavailable, InvalidInput

DATA = bytes(range(256)) * 3000  # three blocks
CID = cid_of(DATA)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    return made


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 1_048_576, 3_000_001])
def test_a_file_goes_up_and_comes_back_the_same(tmp_path: Path, folder: Path, size: int) -> None:
    source, target = folder / 'größe ".bin', folder / "back.bin"
    source.write_bytes((DATA * 5)[:size])

    async def scenario() -> None:
        async with (
            content_service(tmp_path / "store") as url,
            client(url, upload_url=f"{url}/file/create", limits=Limits()) as content,
        ):
            link = await content.put_file(source)
            assert link == f"{url}/ipfs/{cid_of((DATA * 5)[:size])}"
            assert await content.get_file(link, str(target)) == size
            assert target.read_bytes() == source.read_bytes()

    run(scenario())
    assert names(folder) == ["back.bin", 'größe ".bin']


def test_the_progress_of_both_ways_is_told_and_reaches_the_end(tmp_path: Path, folder: Path) -> None:
    source = folder / "data.bin"
    source.write_bytes(DATA)
    up: list[tuple[int, int | None]] = []
    down: list[tuple[int, int | None]] = []
    threads = set()

    async def scenario() -> None:
        def seen(done: int, total: int | None) -> None:
            up.append((done, total))
            threads.add(threading.current_thread())

        async with (
            content_service(tmp_path / "store") as url,
            client(url, upload_url=f"{url}/file/create") as content,
        ):
            link = await content.put_file(source, progress=seen)
            await content.get_file(link, folder / "back.bin", progress=lambda *done: down.append(done))

    run(scenario())
    assert up[-1] == down[-1] == (len(DATA), len(DATA))
    assert up == sorted(up)
    assert down == sorted(down)
    assert len(down) > 3
    assert threads == {threading.main_thread()}


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), BrokenPipeError("mine"), TimeoutError("mine")])
def test_what_the_progress_callback_raises_ends_it_and_is_not_taken_for_the_gateways_fault(
    tmp_path: Path, folder: Path, error: Exception
) -> None:
    source = folder / "data.bin"
    source.write_bytes(DATA)

    def stop(_done: int, _total: int | None) -> None:
        raise error

    async def scenario() -> None:
        async with (
            content_service(tmp_path / "store") as url,
            client(url, upload_url=f"{url}/file/create") as content,
        ):
            link = await content.put_file(source)
            with pytest.raises(type(error), match="mine"):
                await content.put_file(source, progress=stop)
            with pytest.raises(type(error), match="mine"):
                await content.get_file(link, folder / "back.bin", progress=stop)

    run(scenario())
    assert names(folder) == ["data.bin"]


def test_a_file_keeps_its_old_content_until_the_new_one_is_checked(folder: Path) -> None:
    target = folder / "target"
    target.write_bytes(b"old")

    async def scenario() -> None:
        async with (
            misbehaving(answers(answer("200 OK", DATA[:-1] + b"x"))) as (url, _),
            client(url) as content,
        ):
            with pytest.raises(ContentMismatch):
                await content.get_file(CID, target)
        assert target.read_bytes() == b"old"
        async with misbehaving(answers(answer("200 OK", DATA))) as (url, _), client(url) as content:
            assert await content.get_file(CID, target) == len(DATA)
        assert target.read_bytes() == DATA

    run(scenario())
    assert names(folder) == ["target"]


def test_a_file_is_never_seen_before_it_is_whole(folder: Path) -> None:
    async def scenario() -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n".encode()
        async with misbehaving(drip(head, DATA[:5000], 0.01)) as (url, _), client(url) as content:
            fetching = asyncio.create_task(content.get_file(CID, folder / "target"))
            async with asyncio.timeout(5):
                while not names(folder):
                    await asyncio.sleep(0.005)
            assert names(folder) != ["target"]
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching

    run(scenario())
    assert names(folder) == []


def test_a_second_gateways_bytes_are_not_mixed_with_the_firsts(folder: Path) -> None:
    async def scenario() -> None:
        part = b"HTTP/1.1 200 OK\r\nContent-Length: 768000\r\n\r\n" + b"?" * 600_000
        async with (
            misbehaving(answers(part)) as (cut, _),
            misbehaving(answers(answer("200 OK", DATA))) as (good, _),
            client(cut, good) as content,
        ):
            assert await content.get_file(CID, folder / "target") == len(DATA)
        assert (folder / "target").read_bytes() == DATA

    run(scenario())


def test_a_gateway_that_is_cut_off_while_we_write_leaves_nothing_behind(folder: Path) -> None:
    """Its time may end while a thread still writes what it sent."""

    async def scenario() -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {10 * len(DATA)}\r\n\r\n".encode()
        limits = Limits(total_seconds=0.6, idle_seconds=5)
        async with (
            misbehaving(drip(head, b"?" * 400_000, 0.01)) as (slow, _),
            misbehaving(answers(answer("200 OK", DATA))) as (good, _),
            client(slow, good, limits=limits) as content,
        ):
            for _ in range(3):
                assert await content.get_file(CID, folder / "target") == len(DATA)
                assert (folder / "target").read_bytes() == DATA

    run(scenario())


def test_whoever_is_cancelled_waits_for_the_thread_that_writes() -> None:
    """Else it would go on writing into the sink that the next gateway gets."""
    begun, go_on, written = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        go_on.wait(10)
        written.set()

    async def scenario() -> None:
        task = asyncio.create_task(in_thread(write))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert written.is_set()

    run(scenario())


def test_a_file_that_changes_while_it_is_sent_is_noticed(tmp_path: Path, folder: Path) -> None:
    source = folder / "log.txt"
    source.write_bytes(DATA)

    async def scenario() -> None:
        async def store(request: web.Request) -> web.Response:
            await request.post()
            with source.open("ab") as file:
                file.write(b"one line more")
            return web.json_response({"link": f"https://example.org/ipfs/{CID}"})

        app = web.Application(client_max_size=10**8)
        app.router.add_post("/file/create", store)
        async with serving(app) as url, client(upload_url=f"{url}/file/create") as content:
            with pytest.raises(ContentFileError, match="changed while") as caught:
                await content.put_file(source)
            assert caught.value.facts["path"] == str(source)

    run(scenario())


def test_a_service_that_names_another_file_is_refused(folder: Path) -> None:
    source = folder / "data.bin"
    source.write_bytes(DATA)
    lie = answer("201 Created", b'{"link": "https://example.org/ipfs/%s"}' % cid_of(DATA + b"\0").encode())

    async def scenario() -> None:
        async with misbehaving(answers(lie)) as (url, _), client(upload_url=url) as content:
            with pytest.raises(ContentMismatch):
                await content.put_file(source)

    run(scenario())


def test_a_file_over_the_limit_is_not_sent(folder: Path) -> None:
    source = folder / "data.bin"
    source.write_bytes(DATA)

    async def scenario() -> None:
        async with misbehaving(answers(b"")) as (url, bad), client(upload_url=url) as content:
            with pytest.raises(ContentTooLarge) as caught:
                await content.put_file(source, limits=Limits(max_bytes=len(DATA) - 1))
            assert caught.value.facts == {"limit": len(DATA) - 1, "size": len(DATA)}
            assert bad.requests == []

    run(scenario())


def test_files_that_cannot_be_read_or_written_are_told_by_name(folder: Path) -> None:
    async def scenario() -> None:
        async with (
            misbehaving(answers(answer("200 OK", DATA))) as (url, bad),
            client(url, upload_url=url) as content,
        ):
            for path in (folder / "missing", folder):
                with pytest.raises(ContentFileError, match="cannot be read") as caught:
                    await content.put_file(path)
                assert caught.value.facts["path"] == str(path)
                assert not caught.value.retryable
            with pytest.raises(ContentFileError, match="cannot be written: No such file"):
                await content.get_file(CID, folder / "missing" / "target")
            assert bad.requests == []
            (folder / "taken").mkdir()
            with pytest.raises(ContentFileError, match="cannot be written: Is a directory"):
                await content.get_file(CID, folder / "taken")

            os.mkfifo(folder / "pipe")  # as a device would be: its name stays its own
            with pytest.raises(ContentFileError, match="cannot be written: Not a regular file"):
                await content.get_file(CID, folder / "pipe")

    run(scenario())
    assert names(folder) == ["pipe", "taken"]
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


@pytest.fixture
def pipe(folder: Path) -> Iterator[Path]:
    """A pipe that nobody writes to; whoever waits for a writer is let go after a while."""
    path = folder / "pipe"
    os.mkfifo(path)
    over = threading.Event()

    def let_go() -> None:
        while not over.wait(1):
            with contextlib.suppress(OSError):  # nobody waits
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    thread = threading.Thread(target=let_go)
    thread.start()
    yield path
    over.set()
    thread.join()


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(pipe: Path) -> None:
    async def scenario() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with misbehaving(answers(b"")) as (url, bad), client(upload_url=url) as content:
            beside = asyncio.create_task(others())
            with pytest.raises(ContentFileError, match="cannot be read: Not a regular file") as caught:
                await content.put_file(pipe)
            beside.cancel()
            assert turns
            assert caught.value.facts["path"] == str(pipe)
            for device in ("/dev/zero", "/dev/null"):
                with pytest.raises(ContentFileError, match="Not a regular file"):
                    await content.put_file(device)
            assert bad.requests == []

    run(scenario())


def test_a_pipe_that_comes_in_the_place_of_a_file_holds_nothing_up(pipe: Path, folder: Path) -> None:
    source = folder / "data.bin"
    source.write_bytes(DATA)
    upload = FileUpload(source, "text/plain", None)
    source.unlink()
    source.hardlink_to(pipe)
    for use in (upload.open, upload.check, upload.cid):
        with pytest.raises(ContentFileError, match="Not a regular file"):
            use()


def test_a_pipe_in_a_folder_store_holds_nothing_up(pipe: Path, folder: Path) -> None:
    (folder / CID).hardlink_to(pipe)

    async def scenario() -> None:
        async with client(store=f"folder:{folder}") as content:
            with pytest.raises(ContentFileError, match="Not a regular file"):
                await content.get_bytes(CID)

    run(scenario())


def test_a_full_disk_is_the_files_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        with open("/dev/full", "r+b", buffering=0) as full:
            sink = cast(BinaryIO, Unseekable(full))
            receiver = Receiver(sink, parse_cid(CID), path=tmp_path / "out")
            with pytest.raises(ContentFileError, match="No space left"):
                await receiver.take(bytes(2_000_000))

    run(scenario())


class Unseekable:
    """/dev/full cannot be truncated."""

    def __init__(self, file: object) -> None:
        self.write = file.write  # type: ignore[attr-defined]

    def seek(self, _place: int) -> None:
        pass

    def truncate(self) -> None:
        pass


@pytest.mark.parametrize("path", [None, 5, b"bytes", "nul\0in it", "", "/", "//", "/."])
def test_what_is_no_path_is_refused(path: object) -> None:
    async def scenario() -> None:
        async with client("http://127.0.0.1:1", upload_url="http://127.0.0.1:1") as content:
            with pytest.raises(InvalidInput):
                await content.put_file(path)  # type: ignore[arg-type]
            with pytest.raises(InvalidInput):
                await content.get_file(CID, path)  # type: ignore[arg-type]

    run(scenario())


@pytest.mark.parametrize("name", ["~", "~/x", "~nobodyxyz", "~nobodyxyz/x"])
def test_a_path_is_taken_as_it_is_written(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell has put in whose folder a ~ is before we see it."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "not here"))

    async def scenario() -> None:
        async with (
            misbehaving(answers(answer("200 OK", DATA))) as (url, _),
            client(url, store=f"folder:{folder / 'store'}") as content,
        ):
            with pytest.raises(ContentFileError, match="cannot be written: No such file"):
                await content.get_file(CID, f"{name}/x")
            (folder / name).parent.mkdir(exist_ok=True)
            assert await content.get_file(CID, name) == len(DATA)
            assert (folder / name).read_bytes() == DATA
            assert await content.put_file(name) == f"{url}/ipfs/{CID}"

    run(scenario())


def test_other_arguments_that_cannot_be_right_are_refused() -> None:
    async def scenario() -> None:
        async with client("http://127.0.0.1:1", upload_url="http://127.0.0.1:1") as content:
            with pytest.raises(InvalidInput, match="not bytes"):
                await content.put_bytes("text")  # type: ignore[arg-type]
            with pytest.raises(InvalidInput, match="not a link"):
                await content.get_bytes(None)  # type: ignore[arg-type]
            with pytest.raises(InvalidInput, match="not a Limits"):
                await content.get_bytes(CID, limits=5)  # type: ignore[arg-type]

    run(scenario())
    for wrong in ({"max_bytes": 0}, {"max_bytes": 1.5}, {"total_seconds": float("inf")}, {"attempts": True}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            Limits(**wrong)


def test_a_new_file_has_the_permissions_of_any_other(folder: Path) -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", DATA))) as (url, _), client(url) as content:
            await content.get_file(CID, folder / "target")

    old = os.umask(0o027)
    try:
        run(scenario())
    finally:
        os.umask(old)
    assert (folder / "target").stat().st_mode & 0o777 == 0o640


# Uploads and fetches a file of 60 MB, and prints by how much its memory grew at most.
HUGE = """
import asyncio, resource, sys
from ogpu.content import AsyncContent

async def main(url, source, target):
    async with AsyncContent(upload_url=url + "/file/create", gateway_urls=[url]) as content:
        await content.put_file(sys.argv[4])
        await content.get_file(await content.put_file(sys.argv[4]), target)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        link = await content.put_file(source)
        assert await content.get_file(link, target) == 60_000_000
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main(*sys.argv[1:4]))
"""


def test_a_large_file_is_not_held_in_memory(tmp_path: Path, folder: Path) -> None:
    source, small, target = folder / "huge.bin", folder / "small.bin", folder / "back.bin"
    with source.open("wb") as file:
        for number in range(60):
            file.write(number.to_bytes(4) * 250_000)
    small.write_bytes(bytes(3_000_000))

    async def scenario() -> str:
        async with content_service(tmp_path / "store") as url:
            arguments = [sys.executable, "-c", HUGE, url, str(source), str(target), str(small)]
            child = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
            out, _ = await child.communicate()
            assert child.returncode == 0
            return out.decode()

    grown = int(run(scenario())) * 1024
    with source.open("rb") as one, target.open("rb") as two:
        assert cid_of_file(one) == cid_of_file(two)
        assert file_matches(cid_of_file(one), two)
    assert grown < 30_000_000


def test_time_that_is_over_is_unavailable_and_leaves_no_file(folder: Path) -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        async with misbehaving(drip(head, b".", 0.02)) as (url, _), client(url, limits=QUICK) as content:
            with pytest.raises(ContentUnavailable, match=r"within 0\.3 s"):
                await content.get_file(CID, folder / "target", limits=Limits(total_seconds=0.3))

    run(scenario())
    assert names(folder) == []


def test_the_process_is_not_needed_to_read_the_environment() -> None:
    """`ogpu.content` alone loads no aiohttp, so that computing a CID is quick."""
    code = "import sys, ogpu.content; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
