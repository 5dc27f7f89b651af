"""The management API and the page of a local network: a process that is started when somebody looks.

Its socket listens from the start, and the process takes over what waits there. So nobody who never looks pays
for it, and to whoever does it seems to have been there all the time.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ogpu.localnet.processes import end_with_parent
from ogpu.text import printable

BACKLOG = 128
STOP_SECONDS = 10.0
HEALTHY = 30.0  # seconds after which an end counts as the first one
MOST_STARTS = 5  # that end sooner, one after the other
FIRST_PAUSE = 0.2  # seconds until a connection starts it again; doubles
MAX_LINE = 4096
PATIENCE = 10  # seconds that a task's answer waits, as the index may have to be made first


class PageProcess:
    """`ogpu serve` on a socket of ours, started at its first connection."""

    def __init__(
        self, place: socket.socket, network_file: Path, index: Path, report: Callable[[str], None]
    ) -> None:
        place.listen(BACKLOG)
        self._place, self._file, self._index = place, network_file, index
        self._report = report

    async def run(self, *, at_once: bool = False) -> None:
        """Serve until cancelled; a process that will not run is given up, and connections are refused."""
        failures = 0
        while failures < MOST_STARTS:
            if not at_once:
                await self._wanted()
            at_once = False
            begun = time.monotonic()
            said = await self._serve()
            failures = 1 if time.monotonic() - begun > HEALTHY else failures + 1
            self._report(f"the page's process ended: {said}; the next connection starts it again")
            await asyncio.sleep(FIRST_PAUSE * 2**failures)
        self._place.close()
        self._report(f"the page's process ended {failures} times, one after the other: it is given up")
        await asyncio.Event().wait()

    async def _wanted(self) -> None:
        """Wait until somebody connects; whoever accepts it then is not us."""
        loop = asyncio.get_running_loop()
        there = loop.create_future()

        def note() -> None:
            loop.remove_reader(self._place)
            there.set_result(None)

        loop.add_reader(self._place, note)
        try:
            await there
        finally:
            loop.remove_reader(self._place)

    async def _serve(self) -> str:
        """The process, from its start to its end; how it ended."""
        fd = self._place.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "ogpu", "serve", "--socket", str(fd), "--anew"),
            *("--network-file", str(self._file), "--database", str(self._index)),
            *("--rate-limit", "0", "--wait", str(PATIENCE)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            pass_fds=(fd,),
            start_new_session=True,  # Ctrl+C in the terminal is ours to handle, in order
            preexec_fn=end_with_parent(),
        )
        try:
            said = await self._heard(process)
            return f"exit code {await process.wait()}" + (f", {said}" if said else "")
        finally:
            await _ended(process)

    async def _heard(self, process: asyncio.subprocess.Process) -> str:
        assert process.stderr is not None
        last = ""
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # longer than a line should be: the rest follows as the next one
                continue
            if not line:
                return last
            if text := printable(line.decode("utf-8", "replace").strip(), 500):
                last = text
                self._report(f"page: {text}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
            return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
