"""The parent of one worker: when the worker or the pool ends, nothing that the handlers started is left.

A worker cannot see to this itself, since it may be stuck or killed, and the pool cannot when it is killed.
On Linux the keeper adopts orphans, so that daemons that leave the process group are found as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from ctypes import CDLL
from types import FrameType
from typing import NoReturn

from ogpu.service.worker import run_worker

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36  # linux/prctl.h
GIVE_UP = 5.0  # seconds until a process that SIGKILL does not end (stuck in the kernel) is left alone


def main() -> NoReturn:
    """Fork the worker, wait for its end or the pool's, and end as the worker did."""
    channel, pool = int(sys.argv[1]), int(sys.argv[2])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    wake = _wake_on_signals()
    worker = os.fork()
    if worker == 0:
        _become_worker(channel)
    status = None if os.getppid() != pool else _worker_end(worker, channel, wake)
    _kill_descendants(worker)
    _end_like(-signal.SIGKILL if status is None else status)


def _wake_on_signals() -> int:
    """A file descriptor that becomes readable with each SIGCHLD and SIGTERM, the latter as its number."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    os.set_blocking(readable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _noted)
    return readable


def _noted(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor tells; without a handler the signal would not reach it."""


def _become_worker(channel: int) -> NoReturn:
    keeper = os.getppid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)
    run_worker(channel)


def _worker_end(worker: int, channel: int, wake: int) -> int | None:
    """The worker's exit code, negative for a signal; None when it is the pool that ended or says stop."""
    poll = select.poll()
    poll.register(channel, 0)  # only that the other end is closed
    poll.register(wake, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == channel or signal.SIGTERM in os.read(wake, 4096):
                return None
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker:
                return os.waitstatus_to_exitcode(status)
            if pid == 0:
                break


def _kill_descendants(worker: int) -> None:
    deadline = time.monotonic() + GIVE_UP
    while time.monotonic() < deadline:
        for pid in _descendants():
            _kill(pid)
        if not LINUX:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants() -> list[int]:
    """All processes below this one; orphans are its children, so none is missed."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if LINUX else []:
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry))
    found = [os.getpid()]
    for pid in found:
        found.extend(parents.get(pid, []))
    return found[1:]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _end_like(exit_code: int) -> NoReturn:
    """End with the worker's exit code or by its signal, which is what the pool then sees."""
    if exit_code < 0:
        _prctl(PR_SET_DUMPABLE, 0)  # one core file, the worker's, is enough
        if exit_code not in (-signal.SIGKILL, -signal.SIGSTOP):
            signal.signal(-exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -exit_code)
    os._exit(exit_code & 0xFF)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
