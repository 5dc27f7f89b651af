"""What a worker prints: cut into lines, bounded, made printable, and given to a log with its task."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable

from ogpu.text import printable

MAX_LINE = 2000  # characters of one line
MAX_LINES = 500  # of one task
MAX_BYTES = 128 * 1024  # of one task

_LINE_END = re.compile(rb"\r\n|\n|\r")  # a progress bar ends its lines with a bare \r
_CHUNK = 65536


class Output:
    """The reading end of the pipe that a worker's standard output and error go to."""

    def __init__(self, descriptor: int, log: Callable[[str], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)
        self._partial = b""
        self.begin("worker")

    def begin(self, label: str) -> None:
        """What is printed from now on belongs to `label`, with a fresh allowance."""
        self._label, self._lines, self._bytes, self._dropped = label, 0, 0, False

    def finish(self) -> None:
        """Take what the pipe still holds and end the last line, before what comes next gets the blame."""
        if self._descriptor < 0:
            return
        for _ in range(16):  # more than a pipe holds; a thread that prints for ever must not keep us here
            if not self._read():
                break
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def close(self) -> None:
        """Take the rest and close the pipe."""
        if self._descriptor >= 0:
            self.finish()
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bool:
        chunk = b""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                self._loop.remove_reader(self._descriptor)
        if chunk and not self._dropped:
            *lines, rest = _LINE_END.split(self._partial + chunk)
            self._partial = rest[: MAX_LINE * 4 + 1]  # bytes of the longest line, and one to show the cut
            for line in lines:
                self._line(line)
        return bool(chunk)

    def _line(self, line: bytes) -> None:
        if self._dropped or not line.strip():
            return
        self._lines += 1
        self._bytes += len(line)
        if self._lines > MAX_LINES or self._bytes > MAX_BYTES:
            self._dropped = True
            self._partial = b""
            self._log(f"{self._label}: further output is not shown")
            return
        text = line[: MAX_LINE * 4 + 1].decode(errors="replace")
        self._log(f"{self._label}: {printable(text, MAX_LINE)}")
