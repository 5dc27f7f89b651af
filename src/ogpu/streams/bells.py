"""Bells that ring when something happens to a task, so that whoever waits for it need look seldom only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from ogpu.errors import OGPUError
from ogpu.events import ProtocolEvent
from ogpu.streams.feed import Entry, Fallen, Feed, Told
from ogpu.streams.streams import Streams

logger = logging.getLogger(__name__)

CHUNK = 1000  # entries of the feed at a time


class Bell:
    """Rings when there is an event of a task, or when the chain's time has passed `expiry` (Unix seconds)."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._rung = asyncio.Event()
        self.expiry: int | None = None

    def listen(self) -> bool:
        """Whether it would ring; it begins to listen when it does not yet, and rings once it does."""
        return self._bells.listen()

    def ring(self) -> None:
        """Wake who waits for it."""
        self._rung.set()

    def quiet(self) -> None:
        """Let it ring for what comes from now on."""
        self._rung.clear()

    async def wait(self, timeout: float) -> None:
        """Return when it rings or has rung, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._rung.wait()


class Bells:
    """The bells of one client; they listen from the first `listen` until the last is gone."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._bells: dict[str, set[Bell]] = {}
        self._listener: _Listener | None = None

    @contextlib.contextmanager
    def of(self, task: str) -> Iterator[Bell]:
        """A bell for a task."""
        bell = Bell(self)
        self._bells.setdefault(task, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[task].discard(bell)
            if not self._bells[task]:
                del self._bells[task]
            if not self._bells and self._listener is not None:
                self._listener.end(None)
                self._listener = None

    def listen(self) -> bool:
        """Whether what happens is heard."""
        if self._listener is None or self._listener.over:
            self._listener = _Listener(self._streams, self._ring, self._ring_all)
        return self._listener.hears

    def _ring(self, entry: Entry) -> None:
        if not isinstance(entry, Told):
            self._ring_all()
            return
        for event in entry.events:
            for bell in self._bells.get(self._task_of(event), ()):
                bell.ring()
        for bell in self._all():
            if bell.expiry is not None and bell.expiry <= entry.timestamp:
                bell.ring()

    def _ring_all(self) -> None:
        for bell in self._all():
            bell.ring()

    def _all(self) -> Iterator[Bell]:
        return (bell for bells in self._bells.values() for bell in bells)

    def _task_of(self, event: ProtocolEvent) -> str:
        response = getattr(event, "response", "")
        return getattr(event, "task", "") or self._streams.facts.kin.tasks.get(response, "")


class _Listener:
    """Reads the feed until it is ended."""

    def __init__(self, streams: Streams, ring: Callable[[Entry], None], ring_all: Callable[[], None]) -> None:
        self._streams = streams
        self._ring = ring
        self._ring_all = ring_all
        self.hears = False
        self._task = asyncio.create_task(self._listen())

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    def end(self, error: OGPUError | None) -> None:
        """Listen no more."""
        self._task.cancel()

    async def _listen(self) -> None:
        try:
            self._streams.enter(self)
            feed = await self._streams.feed()
            place, self.hears = feed.end, True
            self._ring_all()  # for what has happened until now
            while True:
                place = await self._hear(feed, place)
        except OGPUError as error:
            logger.info("events are not heard of, so tasks that are waited for are looked at more: %s", error)
        finally:
            self.hears = False
            self._streams.leave(self)

    async def _hear(self, feed: Feed, place: int) -> int:
        """Ring for the next entries; the place after them."""
        try:
            entries = await feed.read(place, CHUNK)
        except Fallen:
            self._ring_all()
            return feed.end
        for entry in entries:
            self._ring(entry)
        return place + len(entries)
