"""Local files that content comes from and goes to."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
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


@contextlib.contextmanager
def part_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its name, whole, when the block ends well; else it is gone.

    `mode` is what the umask leaves of it. What is at `path` is replaced, but a folder is not.
    """
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
    with path.open("rb") as file:
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
