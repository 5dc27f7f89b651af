"""One watcher: its place on the chain, what it was shown, and where it reads on.

It reads the feed that all share, or the chain by itself: before it has come to the feed, and when it has
fallen behind what the feed keeps. Its place moves on only with what it gives, so nothing is lost when it is
interrupted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from ogpu.errors import Reorganised
from ogpu.events import ProtocolEvent
from ogpu.rpc.steps import FINALITY, POLL, Block, Blocks, Cursor, Finalized, RolledBack, Step
from ogpu.streams.facts import Facts, Gone
from ogpu.streams.feed import Entry, Fallen, Feed, Told
from ogpu.streams.wish import Wish

logger = logging.getLogger(__name__)

CHUNK = 200  # blocks of the feed that are looked at together
MOST_GONE = 20  # times that a block may be gone while its events are looked at
PAUSE = 0.2  # seconds after that


class Chain(Protocol):
    """Where watchers read."""

    facts: Facts

    async def newest(self) -> int:
        """The newest block that the client has seen in any way, when it is there; else 0."""

    async def feed(self) -> Feed:
        """The feed that all share, once it has caught up."""

    def history(self, known: Sequence[Cursor], first: int) -> AsyncGenerator[Step, None]:
        """The chain's steps from a place on, for one watcher alone."""

    def told(self, block: Block, kinds: frozenset[type[ProtocolEvent]] | None) -> Told:
        """A block with its events."""


@dataclass(frozen=True)
class Span:
    """The first and the last block whose events are wanted; None is from now on, and for ever."""

    first: int | None = None
    last: int | None = None


class Watch:
    """A watcher's place."""

    def __init__(self, chain: Chain, wish: Wish, span: Span) -> None:
        self._chain = chain
        self._wish = wish
        self._span = span
        self._floor = span.first or 0
        self._before = -1  # blocks up to that one were there before it began
        self._from = self._floor
        self._known: deque[Cursor] = deque(maxlen=FINALITY)
        self._given: deque[tuple[Cursor, list[ProtocolEvent]]] = deque()  # of blocks that may yet be dropped
        self._feed: Feed | None = None
        self._place: int | None = None  # in the feed; None while it reads by itself
        self._own: AsyncGenerator[Step, None] | None = None
        self._untaken: Sequence[Entry] = ()  # what it has read by itself, until its place is after it
        self._at_head = False
        self._gone = 0
        self.over = False

    async def start(self) -> None:
        """Settle where to begin."""
        newest = 0 if self._span.first is not None else await self._chain.newest()
        feed = await self._chain.feed()
        self._feed, chain = feed, feed.chain
        if self._span.first is None or self._span.first > chain[-1].number:
            self._known.extend(chain)
            self._from, self._place = chain[0].number, feed.end
            if self._span.first is None:
                self._before = max(chain[-1].number, newest)
                self.over = self._span.last is not None and self._before >= self._span.last
        elif self._span.first > chain[0].number:
            before = [cursor for cursor in chain if cursor.number < self._span.first]
            if (place := feed.after(before[-1])) is not None:
                self._known.extend(before)
                self._from, self._place = chain[0].number, place

    async def more(self) -> list[ProtocolEvent]:
        """The next events that are wanted, at least one; none when the last block has been looked at."""
        while not self.over:
            entries = await self._entries()
            try:
                if found := await self._taken(entries):
                    return found
                self._gone = 0
            except Gone:
                await self._begin_again()
        return []

    async def close(self) -> None:
        """Stop reading."""
        self.over = True
        await self._stop_reading()

    async def _entries(self) -> Sequence[Entry]:
        assert self._feed is not None
        if self._place is None:
            await self._rejoin(self._feed)
        if self._place is None:
            return await self._own_entries()
        try:
            return await self._feed.read(self._place, CHUNK)
        except Fallen:
            logger.info("a watcher is behind; it reads on by itself from block %d", self._from)
            self._place, self._at_head = None, False
            return []

    async def _rejoin(self, feed: Feed) -> None:
        """Go on with the feed where that is possible."""
        if not self._known:
            return
        self._place = feed.after(self._known[-1])
        chain = feed.chain  # empty when a rollback has just dropped all of it
        behind = not chain or chain[-1].number < self._known[-1].number
        if self._place is None and self._at_head and behind:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await feed.change()
            self._place = feed.after(self._known[-1])
        if self._place is not None:
            await self._stop_reading()

    async def _own_entries(self) -> Sequence[Entry]:
        if self._untaken:  # it was interrupted while it looked at these
            return self._untaken
        if self._own is None:
            self._own = self._chain.history(self._known, self._from)
        try:
            step = await anext(self._own)
        except BaseException:  # also when interrupted: a generator does not go on after that
            self._own = None
            raise
        match step:
            case Blocks():
                self._at_head = step.blocks[-1].number >= step.head
                kinds = None if self._wish.by_item else self._wish.kinds
                told = [self._chain.told(block, kinds) for block in step.blocks]
                self._chain.facts.learn(event for block in told for event in block.events)
                self._untaken = told
                return told
            case RolledBack():
                self._chain.facts.forget()
                self._at_head = False
                return [step]
            case Finalized():
                return []

    async def _stop_reading(self) -> None:
        own, self._own, self._untaken = self._own, None, ()
        if own is not None:
            await own.aclose()

    async def _begin_again(self) -> None:
        """Read on by itself from its place: what was read is not on the chain any more."""
        self._gone += 1
        if self._gone > MOST_GONE:
            raise Reorganised(
                "Blocks go while their events are looked at, again and again.",
                hint="Use the RPC URL of another node.",
                facts={"tries": MOST_GONE},
            )
        self._place, self._at_head = None, False
        await self._stop_reading()
        await asyncio.sleep(PAUSE)

    async def _taken(self, entries: Sequence[Entry]) -> list[ProtocolEvent]:
        """What a watcher is shown of these, once it is known; its place is after them then."""
        if not entries:
            return []
        if isinstance(entries[0], RolledBack):
            found = self._undone(entries[0])
        else:
            blocks = [entry for entry in entries if isinstance(entry, Told)]
            if self._wish.by_item:
                events = [event for block in blocks if self._wants(block) for event in block.events]
                await self._chain.facts.see_to(self._wish, events, blocks[-1].cursor)
            found = [event for block in blocks for event in self._shown(block)]
        self._untaken = ()
        if self._place is not None:
            self._place += len(entries)
        return found

    def _wants(self, block: Told) -> bool:
        last = self._span.last
        number = block.cursor.number
        return number > self._before and number >= self._floor and (last is None or number <= last)

    def _shown(self, block: Told) -> list[ProtocolEvent]:
        """The wanted events of a block, which is taken now."""
        self._known.append(block.cursor)
        while self._given and self._given[0][0].number <= block.cursor.number - FINALITY:
            self._given.popleft()
        found: list[ProtocolEvent] = []
        if self._wants(block):
            kin = self._chain.facts.kin
            found = [event for event in block.events if self._wish.verdict(event, kin) is True]
            if found:
                self._given.append((block.cursor, found))
        if block.cursor.number > self._before:
            self._before = -1  # whatever comes now is new
        if self._span.last is not None and block.cursor.number >= self._span.last:
            self.over = True
        return found

    def _undone(self, step: RolledBack) -> list[ProtocolEvent]:
        """What was shown of dropped blocks, latest first, marked as removed."""
        found: list[ProtocolEvent] = []
        for cursor in step.dropped:
            if self._given and self._given[-1][0] == cursor:
                found += [replace(event, removed=True) for event in reversed(self._given.pop()[1])]
        while self._known and self._known[-1].number > step.to.number:
            self._known.pop()
        self._before = min(self._before, step.to.number)  # what replaces what was there before is new
        if not self._known:
            self._known.append(step.to)
            self._from = step.to.number
        return found
