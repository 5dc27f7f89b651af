"""Waiting for the index to be where the chain is, where an older answer would mislead."""

from __future__ import annotations

from sqlalchemy import Connection

from ogpu.web import queries
from ogpu.web.failures import Unready
from ogpu.web.heads import Heads
from ogpu.web.limits import Limits
from ogpu.web.live import Live
from ogpu.web.reading import Index
from ogpu.web.values import Position, Task


class Freshness:
    """Has whoever asks wait, at most for the server's patience."""

    def __init__(self, index: Index, live: Live, heads: Heads | None, limits: Limits) -> None:
        self._index, self._live, self._heads, self._limits = index, live, heads, limits
        self._was_there = False

    async def of_all(self) -> None:
        """Before any answer: a server that has just begun waits for its index, a fresh one for the head."""
        if self._limits.fresh:
            await self._reached(await self._head(None))
        elif not self._was_there:
            await self._live.until(lambda now: True, self._limits.patience)
            self._was_there = True

    async def of_task(self, task: str) -> None:
        """Wait, when more may have happened than is in the index; `Unready` when it stays unknown."""
        known, position = await self._known(task)
        if known is not None and known.status.final:
            return
        head = await self._head(position)
        if position is not None and position.number >= head:
            return
        if not await self._caught_up(position, head) and known is None:
            raise Unready(
                f"The index has not reached block {head} yet, and does not know that task.",
                hint="Try again in a moment; /readyz tells how far it is.",
            )

    async def _caught_up(self, position: Position | None, head: int) -> bool:
        """Wait for the head, but not for an index that still has much to read."""
        much = position is not None and head - position.number > self._limits.behind
        return False if much and not self._limits.fresh else await self._reached(head)

    async def _reached(self, head: int) -> bool:
        _, position = await self._known(None)
        if position is not None and position.number >= head:
            return True
        self._live.forget()
        return await self._live.until(lambda now: now.number >= head, self._limits.patience)

    async def _head(self, position: Position | None) -> int:
        """The chain's head; what the indexer knew when no node tells it."""
        head = await self._heads.now() if self._heads else None
        if head is not None:
            return head
        return position.head if position else 0

    async def _known(self, task: str | None) -> tuple[Task | None, Position | None]:
        def ask(connection: Connection) -> tuple[Task | None, Position | None]:
            found = queries.task(connection, task) if task else None
            return found, queries.position(connection)

        try:
            return await self._index.ask(ask)
        except Unready:  # it may just be being made
            return None, None
