"""A journal is closed whenever it is asked to, also when the interpreter ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ogpu.errors import ClientClosed
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from tests.journal.values import intent, leased, on_a_loop, opened, stored

AT_EXIT = """
import asyncio, atexit, sys
from ogpu.tx.journal import Journal

journal = Journal(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(journal.forget("1:0x"))

@atexit.register
def end():
    loop.run_until_complete(journal.close())
    loop.close()
    print("closed")
"""


@on_a_loop
async def test_close_finishes_what_waits_and_then_nothing_is_taken(where: str) -> None:
    journal = Journal(where)
    lease = await leased(journal)
    waiting = [asyncio.create_task(journal.add(lease, [intent("k", 0)], 1))]
    waiting.append(asyncio.create_task(journal.forget("other")))
    await asyncio.sleep(0)
    await journal.close()
    assert await asyncio.gather(*waiting) == [None, None]
    await journal.close()
    with pytest.raises(ClientClosed):
        await journal.find("k")
    async with opened(where) as again:
        assert await again.find("k") is not None


@on_a_loop
async def test_a_journal_that_was_never_used_is_closed_too(where: str) -> None:
    journal = Journal(where)
    await journal.close()
    with pytest.raises(ClientClosed):
        await journal.find("k")


@on_a_loop
async def test_close_waits_and_holds_up_no_one_else_on_its_loop(where: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stop(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_WRITTEN:
            begun.set()
            assert go_on.wait(10)

    before = set(threading.enumerate())
    journal = Journal(where, at=stop)
    adding = asyncio.create_task(journal.forget("chain"))
    await asyncio.to_thread(begun.wait, 10)
    closing = [asyncio.create_task(journal.close()) for _ in range(2)]
    await asyncio.sleep(0.03)
    assert not any(task.done() for task in (adding, *closing))
    go_on.set()
    async with asyncio.timeout(10):
        await asyncio.gather(adding, *closing)
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if thread.name == "ogpu-journal"]


@on_a_loop
async def test_the_last_to_close_a_file_leaves_one_file(file: Path) -> None:
    async with opened(file) as one:
        async with opened(file) as two:
            await stored(two, "k")
            await one.find("k")
        assert len(list(file.parent.iterdir())) == 3  # with its log and the log's index
    assert list(file.parent.iterdir()) == [file]


def test_a_journal_is_closed_at_the_end_of_the_interpreter(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AT_EXIT, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")
    assert list(file.parent.iterdir()) == [file]
