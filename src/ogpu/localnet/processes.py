"""Processes that must not outlive us, and locks that say who is alive."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ogpu.errors import AlreadyRunning

PR_SET_PDEATHSIG = 1  # prctl(2)
PROBE_TIME = 0.3  # seconds; for a moment somebody may hold a lock only to see whether it is free
LEFT_OVER_TIME = 5.0
POLL = 0.02


def end_with_parent() -> Callable[[], None] | None:
    """What a child runs first so that it ends when we are killed; nothing where the system lacks that."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: a forked child must not load libraries
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # killed before we could ask
            os._exit(1)

    return ask


class FileLock:
    """A lock that the system frees when its holder ends, however it ends; the file names the holder.

    A child that is given the open file holds the lock as well.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, taken: str) -> None:
        """Take the lock, or raise `AlreadyRunning` with that message."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        while (descriptor := self._try()) is None:
            # A process that was killed may have left one that is about to end.
            patience = PROBE_TIME if self.holder() else LEFT_OVER_TIME
            if time.monotonic() - started > patience:
                raise AlreadyRunning(taken, hint="End it first (`ogpu down`), or name another one.")
            time.sleep(POLL)
        self._descriptor = descriptor

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open file, for a child."""
        return () if self._descriptor is None else (self._descriptor,)

    def _try(self) -> int | None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        # Its last holder may have removed the file between our opening and our locking it.
        if not _try_lock(descriptor) or not _is_at(descriptor, self._path):
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return descriptor

    def release(self) -> None:
        """Free the lock and remove its file."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def held(self) -> bool:
        """Whether somebody holds the lock now."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """The process that the file names, where it can be seen to have the file open; else None."""
        try:
            pid = int(self._path.read_bytes()[:20])
        except (OSError, ValueError):
            return None
        return pid if pid > 1 and _has_open(pid, self._path) else None


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; the lock ends with the file."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open; taken as true where the system does not tell."""
    if not Path("/proc/self/fd").is_dir():
        return alive(pid)
    with contextlib.suppress(OSError):
        wanted = path.stat()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(entry.stat(), wanted):
                    return True
    return False


def alive(pid: int) -> bool:
    """Whether a process with that id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def terminate(lock: FileLock, pid: int, timeout: float) -> bool:
    """Ask the holder of a lock to end; whether it has within that time (seconds)."""
    if sys.platform != "linux":
        os.kill(pid, signal.SIGTERM)
        return _freed(lock, pid, timeout)
    try:
        descriptor = os.pidfd_open(pid)  # from here on the number cannot come to mean another process
    except ProcessLookupError:
        return True
    try:
        if lock.holder() == pid:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            return bool(select.select([descriptor], [], [], timeout)[0])
        return not lock.held()
    finally:
        os.close(descriptor)


def _freed(lock: FileLock, pid: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while alive(pid) and lock.held():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True
