"""No process outlives its pool: not a runaway handler, not its daemons, not when the provider is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ogpu.errors import HandlerCrashed, HandlerTimeout
from ogpu.provider.workers import HandlerPool
from tests.provider.support import (
    HANDLERS,
    TASK,
    alive,
    descendants,
    handler_file,
    run,
    wait_for,
    wait_in_loop,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="daemons are found by Linux's /proc")


def begun(lines: list[str]) -> int:
    """The process that a `forever` handler names when it has begun, or 0."""
    found = [re.search(r": begun (\d+)", line) for line in lines]
    return next((int(match[1]) for match in found if match), 0)


def test_close_ends_running_and_waiting_tasks_and_all_processes() -> None:
    lines: list[str] = []

    async def main() -> None:
        pool = HandlerPool([HANDLERS], size=1, log=lines.append)
        await pool.start()
        tasks = [asyncio.create_task(pool.run("forever", TASK, {})) for _ in range(2)]
        await wait_in_loop(lambda: begun(lines))
        assert alive(begun(lines))
        await pool.close()
        await pool.close()
        assert not descendants()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, HandlerCrashed)

    run(main())


def test_a_close_that_is_cancelled_still_leaves_nothing() -> None:
    lines: list[str] = []

    async def main() -> None:
        pool = HandlerPool([HANDLERS], size=2, log=lines.append)
        await pool.start()
        task = asyncio.create_task(pool.run("forever", TASK, {}))
        await wait_in_loop(lambda: begun(lines))
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not descendants()
        with pytest.raises(HandlerCrashed):
            await task

    run(main())


def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    file = handler_file(tmp_path, "import time\nprint('begun', 1)\ntime.sleep(600)\n")
    lines: list[str] = []

    async def main() -> None:
        starting = asyncio.create_task(HandlerPool([file], size=2, log=lines.append).start())
        await wait_in_loop(lambda: begun(lines))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not descendants()

    run(main())


FORGETFUL = """
import asyncio, gc, psutil, sys, time
from ogpu.provider.workers import HandlerPool

async def main():
    await HandlerPool([sys.argv[1]], size=2).start()

asyncio.run(main())
below = psutil.Process().children(recursive=True)
print(len(below), "processes")
gc.collect()
end = time.monotonic() + 10
while any(child.is_running() and child.status() != "zombie" for child in below):
    assert time.monotonic() < end
    time.sleep(0.01)
"""


def test_a_pool_that_is_forgotten_and_not_closed_leaves_nothing() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORGETFUL, str(HANDLERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.stdout == "4 processes\n"
    assert done.returncode == 0, done.stderr


@linux_only
@pytest.mark.parametrize("function", ["daemon", "command"])
def test_what_a_handler_leaves_in_the_background_ends_with_the_pool(function: str) -> None:
    async def main() -> int:
        async with HandlerPool([HANDLERS], size=1) as pool:
            left = (await pool.run(function, TASK, {}))["value"]
            assert isinstance(left, int)
            assert alive(left)
            return left

    assert not alive(run(main()))


@linux_only
@pytest.mark.parametrize(
    ("function", "error"),
    [("sleeps", HandlerTimeout), ("exits", HandlerCrashed), ("kills_group", HandlerCrashed)],
)
def test_and_when_its_worker_ends(function: str, error: type[Exception]) -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1) as pool:
            left = (await pool.run("daemon", TASK, {}))["value"]
            with pytest.raises(error):
                await pool.run(function, TASK, {})
            assert not alive(left)

    run(main())


PROVIDER = """
import asyncio, sys
from ogpu.provider.workers import HandlerPool

async def main():
    async with HandlerPool([sys.argv[1]], size=2, log=lambda line: print(line, flush=True)) as pool:
        print("left", (await pool.run("daemon", "0x1", {}))["value"], flush=True)
        print("left", (await pool.run("command", "0x1", {}))["value"], flush=True)
        await asyncio.gather(*(pool.run(sys.argv[2], "0x1", {}) for _ in range(2)))

asyncio.run(main())
"""


@linux_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_provider_that_is_killed_leaves_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROVIDER, str(HANDLERS), "forever"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as provider:
        assert provider.stdout is not None
        seen = ""
        while seen.count("begun") < 2:
            line = provider.stdout.readline()
            assert line, seen
            seen += line
        below = [child.pid for child in psutil.Process(provider.pid).children(recursive=True)]
        left = [int(pid) for pid in re.findall(r"left (\d+)", seen)]
        assert len(left) == 2
        assert set(left) <= set(below)
        os.kill(provider.pid, number)
        provider.wait(10)
    wait_for(lambda: not [pid for pid in below if alive(pid)])


@linux_only
def test_a_worker_ends_when_its_keeper_is_killed() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1) as pool:
            worker = (await pool.run("process", TASK, {}))["value"]
            task = asyncio.create_task(pool.run("forever", TASK, {}))
            await asyncio.sleep(0)
            os.kill(psutil.Process(worker).ppid(), signal.SIGKILL)
            with pytest.raises(HandlerCrashed):
                await task
            await wait_in_loop(lambda: not alive(worker))
            assert await pool.run("upper", TASK, {"text": "a"}) == {"value": "A"}

    run(main())
