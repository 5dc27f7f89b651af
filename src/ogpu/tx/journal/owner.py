"""Who is responsible for an intent, as a name that says whether that process still runs."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

# The inode of Linux's first PID namespace, in include/linux/proc_ns.h; it outlasts a restart.
INITIAL_NAMESPACE = "4026531836"
START = 19  # the index of starttime among the fields of `_stat`
DEAD = "ZX"  # states in /proc/<pid>/stat of what has ended and was not waited for yet


class Owner(NamedTuple):
    """A process: of which machine and PID namespace, which id, started when."""

    host: str
    pid: int
    started: str  # the boot and the clock ticks after it; empty where the system does not tell
    random: str

    def __str__(self) -> str:
        return "|".join(map(str, self))


def this_owner() -> str:
    """The name of this process; another one after a fork."""
    return _name(os.getpid(), _started(os.getpid()))


def is_gone(owner: str) -> bool:
    """Whether that process certainly does not run any more; False for one that cannot be seen from here."""
    then = _parsed(owner)
    if then is None or then.host != _host():
        return False
    if then.started.partition(":")[0] != _boot():
        # A container's namespace may be numbered like one of before the restart; the machine's own is not.
        return then.host.endswith(INITIAL_NAMESPACE)
    try:
        os.kill(then.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True  # the second is for a number that no process has
    except PermissionError:
        pass  # somebody else's, so it runs
    fields = _stat(then.pid)
    if not fields:
        return False  # hidden, or this system has no /proc
    return fields[0] in DEAD or f"{_boot()}:{fields[START]}" != then.started


@lru_cache(maxsize=1)
def _name(pid: int, started: str) -> str:
    # A forked child inherits its parent's entry, but never its pid and start both, so it finds its own.
    return str(Owner(_host(), pid, started, secrets.token_hex(4)))


def _parsed(owner: str) -> Owner | None:
    parts = owner.split("|")
    if len(parts) != 4 or not parts[1].isdecimal():
        return None
    return Owner(parts[0], int(parts[1]), parts[2], parts[3])


def _host() -> str:
    """Name, machine id and PID namespace: a name alone may be that of several containers."""
    machine = hashlib.sha256(_read("/etc/machine-id").encode()).hexdigest()[:8]
    try:
        namespace = os.readlink("/proc/self/ns/pid").removeprefix("pid:[").rstrip("]")
    except OSError:
        namespace = ""
    return f"{platform.node().replace('|', '-')}/{machine}/{namespace}"


@lru_cache(maxsize=1)
def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _started(pid: int) -> str:
    """When a process started; empty when the system does not tell."""
    fields = _stat(pid)
    return f"{_boot()}:{fields[START]}" if fields else ""


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) from the third on; the second, a name, may hold spaces and brackets."""
    return _read(f"/proc/{pid}/stat").rpartition(") ")[2].split()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
