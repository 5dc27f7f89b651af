"""Helpers of these tests: run a coroutine, wait on a condition, count what a pool leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil

from ogpu.provider.workers import HandlerPool

FILES = Path(__file__).parent / "files"
HANDLERS = FILES / "handlers.py"
EXISTING = FILES / "existing_service.py"
TASK = "0x" + "ab" * 20

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result], limit: float = 30) -> Result:
    """Run a coroutine to its end, and fail rather than hang."""

    async def limited() -> Result:
        async with asyncio.timeout(limit):
            return await coroutine

    return asyncio.run(limited())


def wait_for(condition: Callable[[], object], limit: float = 10) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        time.sleep(0.01)


async def wait_in_loop(condition: Callable[[], object], limit: float = 10) -> None:
    """Wait until a condition holds, with the loop running on."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


OTHERS: set[psutil.Process] = set()  # what ran before this folder's tests began


def descendants() -> list[psutil.Process]:
    """All processes that this one started, directly or not, apart from those of other tests' networks."""
    found = psutil.Process(os.getpid()).children(recursive=True)
    return [process for process in found if process not in OTHERS]


def handler_file(folder: Path, text: str, name: str = "service.py") -> Path:
    """A handler file with the usual head."""
    head = (
        "from ogpu.service import expose, init, logger, start\n"
        "from pydantic import BaseModel\n"
        "class In(BaseModel):\n    x: int = 0\n"
        "class Out(BaseModel):\n    y: int = 0\n"
    )
    path = folder / name
    path.write_text(head + text)
    return path


class SharedPool:
    """A pool of one for many tests, and what its handlers printed."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.lines: list[str] = []
        self._runner = runner
        self._pool = HandlerPool([HANDLERS], size=1, log=self.lines.append)
        runner.run(self._pool.start())

    def run(self, function: str, data: dict[str, Any] | None = None, limit: float = 20) -> Any:
        """The value that the handler answers."""

        async def limited() -> Any:
            async with asyncio.timeout(limit):
                return (await self._pool.run(function, TASK, data or {}))["value"]

        return self._runner.run(limited())

    def close(self) -> None:
        """End it."""
        self._runner.run(self._pool.close())


@contextlib.asynccontextmanager
async def serving(
    file: Path,
    callback: str | None = None,
    log: list[str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[str]:
    """A service file run as its author runs it, in a process of its own, on a free port; gives its URL."""
    environment = os.environ | {"OGPU_SERVICE_HOST": "127.0.0.1", "OGPU_SERVICE_PORT": "0"}
    if callback is not None:
        environment["CALLBACK_URL"] = callback
    service = await asyncio.create_subprocess_exec(
        sys.executable, str(file), stderr=asyncio.subprocess.PIPE, env=environment
    )
    assert service.stderr is not None
    try:
        seen = ""
        while not (found := re.search(r"Listening on (\S+)", seen)):
            line = (await service.stderr.readline()).decode()
            assert line, seen
            seen += line
        reading = asyncio.create_task(service.stderr.read())
        yield found[1]
        service.send_signal(stop)
        await service.wait()
        assert service.returncode == 0, (await reading).decode()
        (log if log is not None else []).extend((seen + (await reading).decode()).splitlines())
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()
