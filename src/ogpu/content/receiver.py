"""What comes in, piece by piece: written, hashed and counted, in a thread as soon as it is much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ogpu.content.cid import CID, Verifier, file_matches, likely_layouts
from ogpu.content.files import empty, file_errors
from ogpu.content.threads import in_thread

_MUCH = 1024 * 1024  # bytes that take about a millisecond to hash

# Called with the bytes done so far, and with all of them or None; it begins anew at another server.
Progress = Callable[[int, int | None], None]


class Receiver:
    """Takes a file into an emptied sink. `path` is where the sink is, for messages."""

    def __init__(
        self, sink: BinaryIO, cid: CID | None, *, path: Path | None = None, progress: Progress | None = None
    ) -> None:
        empty(sink)
        self._sink = sink
        self._cid = cid
        self._path = path or Path("(memory)")
        self._progress = progress
        self._verifier = None if cid is None else Verifier(cid)
        self._buffer = bytearray()
        self._total: int | None = None
        self.size = 0

    def expect(self, total: int | None) -> None:
        """How many bytes the file will have, when that is known."""
        self._total = total

    async def take(self, piece: bytes) -> None:
        """The file's next bytes."""
        self._buffer += piece
        self.size += len(piece)
        if len(self._buffer) >= _MUCH:
            await in_thread(self._flush)
        if self._progress is not None:
            self._progress(self.size, self._total)

    async def finish(self) -> bool:
        """Write the rest; whether the file is what the CID names, or there was none."""
        self._flush()
        if self._cid is None or self._verifier is None or self._verifier.good():
            return True
        others = likely_layouts(self._cid)[1:]
        if self.size < _MUCH:
            return file_matches(self._cid, self._sink, others)
        return await in_thread(file_matches, self._cid, self._sink, others)

    def _flush(self) -> None:
        with file_errors(self._path, "written"):
            self._sink.write(self._buffer)
        if self._verifier is not None:
            self._verifier.feed(self._buffer)
        self._buffer = bytearray()
