"""Local files that content comes from and goes to."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ogpu.content.cid import CID, file_matches
from ogpu.errors import ContentFileError
from ogpu.text import printable


@contextlib.contextmanager
def file_errors(path: Path, action: str) -> Iterator[None]:
    """What the system says of a file, as our error."""
    try:
        yield
    except OSError as error:
        raise file_error(path, f"cannot be {action}: {error.strerror or type(error).__name__}") from error


def file_error(path: Path, reason: str) -> ContentFileError:
    """A file that is in the way, and why."""
    name = printable(str(path), 300)
    return ContentFileError(f"The file {name} {reason}.", facts={"path": str(path), "reason": reason})


def regular_only(path: str, flags: int) -> int:
    """An `opener` that is never held up: a pipe has its reader wait for a writer, a device may not end."""
    _check_regular(os.stat(path).st_mode)  # to open a device may do something
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _check_regular(os.fstat(file).st_mode)
    except OSError:
        os.close(file)
        raise
    return file


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file")


@contextlib.contextmanager
def part_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its name, whole, when the block ends well; else it is gone.

    `mode` is what the umask leaves of it. A file or link at `path` is replaced, and nothing else is.
    """
    with file_errors(path, "written"):
        if path.exists():
            _check_regular(path.stat().st_mode)  # to take the name of a device would end it
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    with file_errors(path, "written"):
        file = os.fdopen(os.open(part, flags, mode), "w+b")
    try:
        with file:
            yield file
        with file_errors(path, "written"):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_checked(path: Path, cid: CID, sink: BinaryIO, limit: int) -> bool | None:
    """Copy a file to an empty sink; False, with the sink empty again, when it is not what `cid` names.

    None when it has more than `limit` bytes. The copy is what is compared, since the file may change.
    """
    with open(path, "rb", opener=regular_only) as file:
        if os.fstat(file.fileno()).st_size > limit:
            return None
        shutil.copyfileobj(file, sink, 1 << 20)
    if sink.tell() <= limit and file_matches(cid, sink):
        return True
    empty(sink)
    return False


def empty(sink: BinaryIO) -> None:
    """Begin anew."""
    sink.seek(0)
    sink.truncate()
