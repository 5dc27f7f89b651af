"""Verified content on disk, found by CID, and verified again whenever it is read.

Entries are named by CIDs, so what two processes write at once is the same; each comes to be by one rename,
and whoever finds one gone, or spoilt, fetches it again. Nothing is locked. A cache that cannot be used is no
error.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ogpu.content.cid import CID, block_matches
from ogpu.content.files import empty, part_file, read_checked
from ogpu.errors import ContentFileError

log = logging.getLogger(__name__)

_LEAST = 4096  # bytes that an entry counts at least, as on disk
_ROOM = 0.9  # the part of the bound that is left after eviction
_LEFT_OVER = 3600.0  # seconds after which an unfinished file is a dead process's


class Cache:
    """At most about `max_bytes` in a folder, the least recently used ones leave first.

    Each process counts what it writes itself, and looks at the folder again after some writes; so several
    at once may pass the bound for a while, by what each writes between two looks.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max = max_bytes
        self._lock = threading.Lock()
        self._size = 0  # by the last look, and our own writes since
        self._writes_left = 0  # until the next look

    def read(self, cid: CID, sink: BinaryIO, limit: int) -> bool:
        """Copy the file to the empty sink when it is there, of at most `limit` bytes, and whole."""
        path = self._path(cid)
        with _as_if_missing():
            found = read_checked(path, cid, sink, limit)
            if found:
                _touch(path)
                return True
            if found is False:
                _drop(path)
        empty(sink)
        return False

    def block(self, cid: CID) -> bytes | None:
        """A block, when it is there and whole."""
        path = self._path(cid, block=True)
        with _as_if_missing():
            block = path.read_bytes()
            if block_matches(cid, block):
                _touch(path)
                return block
            _drop(path)
        return None

    def has_block(self, cid: CID) -> bool:
        """Whether there seems to be such a block."""
        return self._path(cid, block=True).exists()

    def keep(self, cid: CID, file: BinaryIO) -> None:
        """Keep a file that was checked against the CID; it is read from its beginning."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._write(self._path(cid), file, size)

    def keep_block(self, cid: CID, block: bytes) -> None:
        """Keep a block that was checked against the CID."""
        self._write(self._path(cid, block=True), io.BytesIO(block), len(block))

    def _path(self, cid: CID, *, block: bool = False) -> Path:
        """Of a raw CID, file and block are the same."""
        suffix = ".block" if block and cid.codec != "raw" else ""
        return self._folder / f"{CID(1, cid.codec, cid.digest)}{suffix}"

    def _write(self, path: Path, source: BinaryIO, size: int) -> None:
        cost = max(size, _LEAST)
        if cost > self._max:
            return
        with _as_if_missing():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(cost)
            with part_file(path, 0o600) as part:
                shutil.copyfileobj(source, part, 1 << 20)

    def _make_room(self, cost: int) -> None:
        with self._lock:
            self._writes_left -= 1
            if self._writes_left < 0 or self._size + cost > self._max:
                count = self._look(cost)
                self._writes_left = max(64, count // 10)
            self._size += cost

    def _look(self, cost: int) -> int:
        """Count what is there, and remove the least recently used when it is too much; how many are left."""
        entries = sorted(self._entries(), reverse=True)
        self._size = sum(size for _, size, _ in entries)
        if self._size + cost > self._max:
            while entries and self._size + cost > self._max * _ROOM:
                _, size, path = entries.pop()
                _drop(path)
                self._size -= size
        return len(entries)

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When each was used last, what it counts, and where it is."""
        found = []
        with os.scandir(self._folder) as listing:
            for entry in listing:
                with contextlib.suppress(FileNotFoundError):  # another process evicts too
                    told = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(".part") and told.st_mtime < time.time() - _LEFT_OVER:
                        _drop(Path(entry.path))
                    else:
                        found.append((told.st_mtime, max(told.st_size, _LEAST), Path(entry.path)))
        return found


@contextlib.contextmanager
def _as_if_missing() -> Iterator[None]:
    """A cache that cannot be read or written is one that has nothing."""
    try:
        yield
    except FileNotFoundError:
        pass
    except (OSError, ContentFileError) as error:
        log.info("the content cache cannot be used: %s", error)


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):  # evicted meanwhile, or not ours
        os.utime(path)


def _drop(path: Path) -> None:
    with contextlib.suppress(OSError):  # another process was first
        path.unlink()
