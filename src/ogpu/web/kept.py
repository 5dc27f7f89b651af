"""Answers that are kept while the index stays as it is, under names that change with it."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Kept:
    """Bytes by names, for threads to share: the oldest go when there is no room."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """What is kept under a name."""
        with self._lock:
            return self._kept.get(name)

    def keep(self, name: str, body: bytes) -> None:
        """Keep it, unless something has that name already."""
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = body
            self._bytes += len(body)
            while self._bytes > self._room:
                self._bytes -= len(self._kept.popitem(last=False)[1])
