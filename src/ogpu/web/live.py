"""Changes of the index as they happen: one look at the database for all who listen or wait.

A message says what came since the one that a listener had before, by its id: so a listener may be slow, go
away and come back, even to another server, and no queue is kept for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from ogpu.web import queries
from ogpu.web.failures import Unready
from ogpu.web.jsontext import plain, written
from ogpu.web.limits import Limits
from ogpu.web.paging import Paging
from ogpu.web.reading import Index
from ogpu.web.values import Position, Reorganisation

POLL = 0.1  # seconds between two looks, while somebody listens or waits
MOST = 100  # events and reorganisations of a message
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": still here\n\n"
RESET = b'event: reset\ndata: {"hint": "Read anew what you show: the index was made anew."}\n\n'

_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a listener knows: the counter, the last block, and the last reorganisation."""

    changes: int
    number: int
    reorganisation: int

    def __str__(self) -> str:
        return f"{self.changes}-{self.number}-{self.reorganisation}"


def seen_of(event_id: str | None) -> Seen | None:
    """What a `Last-Event-ID` of ours says; None for anything else."""
    found = _ID.fullmatch(event_id or "")
    return Seen(*(int(part) for part in found.groups())) if found else None


class Live:
    """Looks at the index while somebody listens or waits."""

    def __init__(self, index: Index, limits: Limits) -> None:
        self._index, self._limits = index, limits
        self.position: Position | None = None
        self.listeners = 0
        self._users = 0
        self._wanted = asyncio.Event()
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told: dict[Seen, tuple[bytes, Seen]] = {}
        self._telling = asyncio.Lock()
        self.closed = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if not self._users:
                self._wanted.clear()
                await self._wanted.wait()
            with suppress(Unready):
                position = await self._index.ask(queries.position)
                if position != self.position:
                    self.position = position
                    self._told.clear()
                    self._wake()
            await asyncio.sleep(POLL)

    def forget(self) -> None:
        """Take the position as unknown until the next look; it may be one of a former index."""
        self.position = None

    def close(self) -> None:
        """End all streams at their next message, which is now."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._turn.set_result(None)
        self._turn = asyncio.get_running_loop().create_future()

    @contextmanager
    def _using(self) -> Iterator[None]:
        self._users += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._users -= 1

    async def _changed(self, timeout: float) -> None:
        """Wait until the index changed, but not longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._turn)

    async def until(self, reached: Callable[[Position], bool], timeout: float) -> bool:
        """Wait until the index is so; whether it was in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        with self._using():
            while not (self.position is not None and reached(self.position)):
                left = deadline - loop.time()
                if left <= 0 or self.closed:
                    return False
                await self._changed(left)
        return True

    async def stream(self, seen: Seen | None) -> AsyncIterator[bytes]:
        """Server-sent events for one listener, until its time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.live_seconds
        self.listeners += 1
        try:
            with self._using():
                yield RETRY
                while not self.closed and loop.time() < end:
                    if self.position is not None and (seen is None or seen.changes != self.position.changes):
                        message, seen = await self._message(seen)
                        yield message
                        continue
                    turn = self._turn
                    await self._changed(min(self._limits.heartbeat, max(0.0, end - loop.time())))
                    if not turn.done():
                        yield HEARTBEAT
        finally:
            self.listeners -= 1

    async def _message(self, seen: Seen | None) -> tuple[bytes, Seen | None]:
        """What came since; made once for all who know the same."""
        key = seen or Seen(0, 0, 0)
        async with self._telling:  # whoever waits here finds it made
            if key not in self._told:
                self._told[key] = await self._index.ask(lambda connection: _message(connection, seen))
            return self._told[key]


def _message(connection: Connection, seen: Seen | None) -> tuple[bytes, Seen]:
    position = queries.position(connection)
    if position is None:
        raise Unready("The index is being made anew.")
    newest = queries.reorganisations(connection, paging=Paging(limit=1)).items
    now = Seen(position.changes, position.number, newest[0].id if newest else 0)
    if seen is not None and _made_anew(seen, now):
        return RESET + _event(position, now, (), (), more=False), now
    since = now.number
    reorganised: tuple[Reorganisation, ...] = ()
    if seen is not None:
        found = queries.reorganisations(connection, paging=Paging(limit=MOST)).items
        reorganised = tuple(each for each in found if each.id > seen.reorganisation)
        since = min([seen.number, *(each.fork_number for each in reorganised)])
    after = Paging(limit=MOST, sort="happened")
    events = queries.events(connection, since=since + 1, paging=after)
    short = tuple(
        {name: value for name, value in plain(each).items() if name != "arguments"} for each in events.items
    )
    told = _event(position, now, short, plain(reorganised), more=events.next is not None)
    return told, now


def _made_anew(seen: Seen, now: Seen) -> bool:
    rolled_back = now.reorganisation > seen.reorganisation
    older = now.changes < seen.changes or now.reorganisation < seen.reorganisation
    return older or (now.number < seen.number and not rolled_back)


def _event(position: Position, now: Seen, events: object, reorganised: object, *, more: bool) -> bytes:
    data = {**plain(position), "events": events, "more": more, "reorganisations": reorganised}
    return b"id: %s\nevent: change\ndata: %s\n\n" % (str(now).encode(), written(data))
