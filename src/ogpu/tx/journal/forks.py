"""What a fork must not happen amid: while a file is open here, what a child writes to it can be lost.

SQLite keeps the locks of a process in its memory, and a child inherits that memory but no lock. To it a file
that its parent has open is locked already, so it takes no lock of its own: it waits for ever for what its
parent's threads did at that moment, or its parent deletes the log that it writes to.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Pausing(Protocol):
    """What can let go of its database for a while."""

    def pause(self) -> None:
        """Return once nothing is open."""

    def resume(self) -> None:
        """Go on."""


_lock = threading.Lock()  # held throughout a fork
_known: weakref.WeakSet[Pausing] = weakref.WeakSet()  # no client's own: a fork concerns all of a process


def pause_at_forks(one: Pausing) -> None:
    """Pause it at each fork, as long as somebody holds it; a child does not inherit that."""
    with _lock:
        _known.add(one)


def _before() -> None:
    _lock.acquire()
    for one in _known:
        one.pause()


def _after_in_parent() -> None:
    for one in _known:
        one.resume()
    _lock.release()


def _after_in_child() -> None:
    _known.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
