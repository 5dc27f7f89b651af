"""Answers that are kept while the index stays as it is, under names that change with it."""

from __future__ import annotations

import threading
from collections import OrderedDict

from starlette.requests import Request

OVERHEAD = 256  # bytes that an entry takes beside its body, about


def asked(request: Request) -> str:
    """What is asked for, exactly as the routes see it, and whatever host it is asked of."""
    return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"


class Kept:
    """Bytes by names, for threads to share: those go that nobody asked for the longest time."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """What is kept under a name."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def keep(self, name: str, body: bytes) -> None:
        """Keep it, unless something has that name already."""
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = body
            self._bytes += len(body) + OVERHEAD
            while self._bytes > self._room:
                self._bytes -= len(self._kept.popitem(last=False)[1]) + OVERHEAD
