"""A process that forks: neither it nor its child loses what is stored, or waits for the other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from tests.journal.values import CHAIN, SENDER, on_a_loop, opened, stored
from tests.support.crash import Talk, child

QUICK = 8.0  # seconds, under what a writer waits for another's lock

ENDING = """
import asyncio, os, sys
from ogpu.tx.journal import Journal

journal = Journal(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(journal.forget("1:0x"))
if not (pid := os.fork()):
    asyncio.run(journal.forget("1:0x"))
    sys.exit()
print(os.waitpid(pid, 0)[1])
for _ in range(3):
    loop.run_until_complete(journal.forget("1:0x"))
loop.run_until_complete(journal.close())
loop.close()
"""


def forked(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run it in a forked child; the child's process id."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            asyncio.run(work())
            code = 0
        finally:
            os._exit(code)
    return pid


def ended_well(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0


def parent_closes_first(_: Talk, where: str) -> None:
    closed, close = os.pipe()
    opened, open_ = os.pipe()

    async def in_child() -> None:
        assert await journal.lane(CHAIN, SENDER) == 1
        os.write(open_, b"1")
        os.read(closed, 1)
        await stored(journal, "child", first=1)
        await journal.close()

    async def work() -> None:
        await stored(journal, "parent")
        pid = forked(in_child)
        await journal.find("parent")
        os.read(opened, 1)
        await journal.close()
        os.write(close, b"1")
        ended_well(pid)

    journal = Journal(where)
    asyncio.run(work())


@on_a_loop
async def test_what_a_child_stores_after_its_parent_closed_is_there(where: str) -> None:
    with child(parent_closes_first, where) as parent:
        assert parent.receive() is None
    async with opened(where) as journal:
        assert [i.key for i in await journal.list()] == ["child", "parent"]


def forks_amid(_: Talk, where: str) -> float:
    """A process with two journals, which forks while both write."""
    writing, go_on = threading.Barrier(2), threading.Event()

    def stop(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_WRITTEN and not go_on.is_set():
            writing.wait(10)
            assert go_on.wait(10)

    async def in_child() -> None:
        await stored(one, "child 1", first=1)
        await stored(two, "child 2", first=2)

    async def write(journal: Journal, chain: str) -> None:
        await journal.forget(chain)

    async def work() -> float:
        tasks = [asyncio.create_task(write(one, "a"))]
        await asyncio.to_thread(writing.wait, 10)
        tasks.append(asyncio.create_task(write(one, "b")))
        await asyncio.sleep(0)
        threading.Timer(0.2, go_on.set).start()
        began = time.monotonic()
        pid = forked(in_child)
        took = time.monotonic() - began
        await asyncio.gather(*tasks)
        ended_well(pid)
        await stored(two, "parent", first=3)
        await asyncio.gather(one.close(), two.close())
        return took

    one, two = Journal(where, at=stop), Journal(where)
    return asyncio.run(work())


@on_a_loop
async def test_a_fork_waits_for_what_is_being_written(where: str) -> None:
    began = time.monotonic()
    with child(forks_amid, where) as parent:
        assert 0.1 < parent.receive() < QUICK
    assert time.monotonic() - began < QUICK
    async with opened(where) as journal:
        assert {i.key for i in await journal.list()} == {"child 1", "child 2", "parent"}


def forks_often(_: Talk, where: str) -> int:
    """A process whose journal never rests, and which forks all the time; what the children did wrong."""

    async def writes(number: int) -> None:
        while not over:
            await journal.forget(str(number))

    async def in_child() -> None:
        await journal.forget("child")
        await journal.close()

    async def work() -> int:
        tasks = [asyncio.create_task(writes(number)) for number in range(3)]
        failed = 0
        for _ in range(10):
            await asyncio.sleep(0.01)
            pid = forked(in_child)
            failed += (await asyncio.to_thread(os.waitpid, pid, 0))[1] != 0
        over.append(True)
        await asyncio.gather(*tasks)
        await journal.close()
        return failed

    over: list[bool] = []
    journal = Journal(where)
    return asyncio.run(work())


def test_a_busy_journal_lets_its_process_fork(where: str) -> None:
    with child(forks_often, where) as parent:
        assert parent.receive(30) == 0


def closes_its_parents(_: Talk, where: str) -> None:
    async def in_child() -> None:
        await journal.close()

    async def work() -> None:
        await stored(journal, "a")
        ended_well(forked(in_child))
        await stored(journal, "b", first=1)
        await journal.close()
        ended_well(forked(in_child))

    journal = Journal(where)
    asyncio.run(work())


@on_a_loop
async def test_a_child_that_closes_closes_its_own(where: str) -> None:
    with child(closes_its_parents, where) as parent:
        assert parent.receive() is None
    async with opened(where) as journal:
        assert len(await journal.list()) == 2


def test_a_child_that_ends_takes_nothing_from_its_parent(where: str) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ENDING, where]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
