"""Keeps an indexer running: a process of its own, so that answers stay quick while it has much to read."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Self

from ogpu.text import printable
from ogpu.web.indexing import RUNNING, Job
from ogpu.web.served import Served

FIRST_PAUSE = 0.5  # seconds until it is started again; doubles
LONGEST_PAUSE = 30.0
HEALTHY = 60.0  # seconds after which an end counts as the first one
STOP_SECONDS = 10.0
MAX_LINE = 4096


class Keeper:
    """`async with Keeper(…)`: an indexer runs, and is started again when it ends."""

    def __init__(self, served: Served, report: Callable[[str], None]) -> None:
        self._job = Job.of(served).written()
        self._report = report
        self._keeping: asyncio.Task[None] | None = None
        self.trouble = "The indexer is being started."
        self.starts = 0
        self.process: int | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            begun = time.monotonic()
            said, code = await self._run()
            if time.monotonic() - begun > HEALTHY:
                pause = FIRST_PAUSE
            self.trouble = f"The indexer ended (exit code {code}): {said or 'it said nothing'}"
            self._report(f"{self.trouble} It is started again in {pause:g} s.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run(self) -> tuple[str, int | None]:
        """One indexer, from its start to its end; the last that it said, and how it ended."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "ogpu.web.indexing"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            start_new_session=True,  # Ctrl+C in the terminal is ours to handle
        )
        self.starts += 1
        self.process = process.pid
        try:
            assert process.stdin is not None
            assert process.stderr is not None
            with contextlib.suppress(OSError):  # it has ended already, and said why
                process.stdin.write(self._job)  # not as arguments, which all users of a machine see
                await process.stdin.drain()
            said = await self._heard(process.stderr)
            return said, await process.wait()
        finally:
            self.process = None
            await _ended(process)

    async def _heard(self, lines: asyncio.StreamReader) -> str:
        """Pass on what it says, until it ends; the last line."""
        said = ""
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # longer than a line should be: the rest follows as the next one
                continue
            if not line:
                return said
            text = printable(line.decode("utf-8", "replace").strip(), 500)
            if text == RUNNING:
                self.trouble = ""
            elif text:
                said = text
                self._report(f"index: {text}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()  # which tells it to end
    if process.returncode is not None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
            return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
