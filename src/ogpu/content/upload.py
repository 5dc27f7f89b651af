"""What is to be stored: bytes or a file, opened anew for each attempt. A file is never held whole."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ogpu.content.cid import CID, cid_of_file, file_matches
from ogpu.content.files import file_error, file_errors, regular_only
from ogpu.content.receiver import Progress
from ogpu.text import printable

_TELL_EVERY = 0.1  # seconds

T = TypeVar("T")


class Upload:
    """Bytes to store."""

    def __init__(self, data: bytes, filename: str, content_type: str) -> None:
        self.filename = filename
        self.content_type = content_type
        self.size = len(data)
        self._data = data

    def open(self) -> BinaryIO:
        """From their beginning."""
        return io.BytesIO(self._data)

    def check(self) -> None:
        """Raise when what is there may not be what was sent."""

    def cid(self) -> CID:
        """Its CID in the usual layout."""
        with self.open() as file:
            return cid_of_file(file)

    def is_named_by(self, cid: CID) -> bool:
        """Whether a CID is its own, in a layout that stores use."""
        with self.open() as file:
            return file_matches(cid, file)

    async def watched(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work that reads it, while somebody is told how far that is."""
        return await work


class FileUpload(Upload):
    """A regular file to store, which must not change meanwhile."""

    def __init__(self, path: Path, content_type: str, progress: Progress | None) -> None:
        self._path = path
        self._progress = progress
        self._reader: _Counted | None = None
        with file_errors(path, "read"):
            self._seen = _identity(path)
        self.filename = printable(path.name, 255)  # the system allows more in a name than a form of HTTP
        self.content_type = content_type
        self.size = self._seen[0]

    def open(self) -> BinaryIO:
        """From its beginning."""
        with file_errors(self._path, "read"):
            self._reader = _Counted(self._path, opener=regular_only)
        return io.BufferedReader(self._reader, 64 * 1024)

    def check(self) -> None:
        """`ContentFileError` when the file has changed."""
        with file_errors(self._path, "read"):
            if _identity(self._path) != self._seen:
                raise file_error(self._path, "changed while it was being stored")

    async def watched(self, work: Coroutine[Any, Any, T]) -> T:
        """What the progress callback raises ends the work, and is raised here."""
        if self._progress is None:
            return await work
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_TELL_EVERY)
                self._progress(min(self._reader.done if self._reader else 0, self.size), self.size)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Counted(io.FileIO):
    """A file that knows how far it was read."""

    done = 0

    def readinto(self, buffer: Any) -> int | None:
        """Read, and count."""
        length = super().readinto(buffer)
        self.done += length or 0
        return length


def _identity(path: Path) -> tuple[int, int, int]:
    """What changes with a file's content."""
    with open(path, "rb", opener=regular_only) as file:
        told = os.fstat(file.fileno())
    return told.st_size, told.st_mtime_ns, told.st_ino
