"""One look at the chain for all who watch: its last blocks with their events, read by each at its own pace.

Whoever is slower than what is kept reads the chain by itself from its place on, so nobody's slowness takes
memory or the others' time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from ogpu.errors import OGPUError
from ogpu.events import ProtocolEvent
from ogpu.rpc.steps import FINALITY, Block, Blocks, Cursor, Finalized, RolledBack, Step

KEPT_ENTRIES = 512  # of which a reorganisation can take back 64
KEPT_EVENTS = 20_000  # in all entries, but always the last one, whatever is in it


@dataclass(frozen=True, slots=True)
class Told:
    """A block and its events; `timestamp` in Unix seconds."""

    cursor: Cursor
    timestamp: int
    events: tuple[ProtocolEvent, ...]


Entry: TypeAlias = Told | RolledBack


class Fallen(Exception):
    """What a reader wants next is kept no more."""


class Feed:
    """The entries of the chain since somebody began to watch, as many as are kept; counted from 0."""

    def __init__(self, steps: AsyncGenerator[Step, None], told: Callable[[Block], Told]) -> None:
        self._steps = steps
        self._told = told
        self._entries: deque[Entry] = deque()
        self._first = 0
        self._events = 0
        self._chain: deque[Cursor] = deque(maxlen=FINALITY)
        self._changed = asyncio.Event()
        self._error: OGPUError | None = None
        self._at_head = False
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._wake())

    @property
    def end(self) -> int:
        """The number of the entry that comes next."""
        return self._first + len(self._entries)

    @property
    def chain(self) -> tuple[Cursor, ...]:
        """The last blocks as the chain has them now, oldest first."""
        return tuple(self._chain)

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self._error is not None or self._task.done()

    async def ready(self) -> None:
        """Wait until it has caught up with the chain, so that it has a block; raises what has ended it."""
        while not self._at_head:
            await self.change()

    async def change(self) -> None:
        """Wait for the next entry; raises what has ended it."""
        if self._error is not None:
            raise copy(self._error) from self._error
        if self._task.done() and not self._task.cancelled():
            self._task.result()  # what nobody has expected ends all who read, too
        await self._changed.wait()

    async def read(self, place: int, most: int) -> list[Entry]:
        """The entries from that place on, at least one, and no block together with a rollback."""
        while place >= self.end:
            await self.change()
        if place < self._first:
            raise Fallen
        found: list[Entry] = []
        start = place - self._first
        for entry in islice(self._entries, start, start + most):
            if isinstance(entry, RolledBack):
                return found or [entry]
            found.append(entry)
        return found

    def after(self, cursor: Cursor) -> int | None:
        """The number of the entry that comes after a place on the chain, when the feed was there."""
        for back, entry in enumerate(reversed(self._entries)):
            if cursor == (entry.to if isinstance(entry, RolledBack) else entry.cursor):
                return self.end - back
        return None

    async def close(self, error: OGPUError | None = None) -> None:
        """End it, for all who still read with this error."""
        if self._error is None:
            self._error = error
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._wake()

    async def _run(self) -> None:
        try:
            async for step in self._steps:
                self._take(step)
        except OGPUError as error:
            self._error = error
            self._wake()
        finally:
            await self._steps.aclose()

    def _take(self, step: Step) -> None:
        match step:
            case Blocks():
                for block in step.blocks:
                    self._chain.append(block.cursor)
                    self._add(self._told(block))
                self._at_head = step.blocks[-1].number >= step.head
            case RolledBack():
                while self._chain and self._chain[-1].number > step.to.number:
                    self._chain.pop()
                self._at_head = False
                self._add(step)
            case Finalized():
                return
        self._wake()

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._events += _weight(entry)
        while len(self._entries) > 1 and (len(self._entries) > KEPT_ENTRIES or self._events > KEPT_EVENTS):
            self._events -= _weight(self._entries.popleft())
            self._first += 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _weight(entry: Entry) -> int:
    return len(entry.events) if isinstance(entry, Told) else 0
