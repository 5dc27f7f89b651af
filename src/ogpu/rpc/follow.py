"""Following the chain: blocks with the logs of some contracts, reorganisations, and what is final.

The events, the index and waiting are built on it. It keeps no state but the last blocks' places, which its
user gives back as `known` to go on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

from ogpu.errors import FinalityBroken, InvalidInput, NetworkError
from ogpu.rpc.blocks import Header, linked, unfit
from ogpu.rpc.codec import checked_address
from ogpu.rpc.fetching import Fetch
from ogpu.rpc.steps import FINALITY, POLL, Block, Blocks, Cursor, Finalized, Hint, RolledBack, Step
from ogpu.rpc.transport import RPC

__all__ = [
    "FINALITY",
    "POLL",
    "Block",
    "Blocks",
    "Cursor",
    "Finalized",
    "Hint",
    "RolledBack",
    "Step",
    "follow",
]

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.1  # seconds after what went wrong; doubles
LONGEST_PAUSE = 2.0


async def follow(
    rpc: RPC,
    addresses: Sequence[str],
    known: Sequence[Cursor] = (),
    *,
    first: int = 0,
    finality: int = FINALITY,
    poll: float = POLL,
    hint: Hint | None = None,
) -> AsyncGenerator[Step, None]:
    """Every block after the `known` ones, or from `first` on, as the chain has it; it never ends by itself.

    `known`: the blocks that were taken already, oldest first and without a gap, at most the last `finality`
    of them, down to the last one that was told as final, which no rollback goes below.
    After `RolledBack` the blocks that replace those dropped follow. `poll`: seconds between two looks for a
    new block; a `hint` can make it look sooner. A node that is not there is waited for.

    Raises `FinalityBroken` when a block has changed that was told as final, and errors that no waiting helps.
    """
    follower = _Follower(Fetch(rpc, [checked_address(a) for a in addresses]), known, first, finality)
    pause = FIRST_PAUSE
    try:
        while True:
            try:
                steps = await follower.steps()
            except NetworkError as error:
                if not error.retryable:
                    raise
                logger.warning("following the chain: trying again: %s", error)
                await follower.begin_again()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            for step in steps:
                yield step
            if follower.caught_up:
                await (asyncio.sleep(poll) if hint is None else hint.wait(poll))
    finally:
        await follower.begin_again()


class _Follower:
    """Where it is on the chain, and what comes next."""

    def __init__(self, fetch: Fetch, known: Sequence[Cursor], first: int, finality: int) -> None:
        if finality < 1:
            raise InvalidInput("The finality has to be at least one block.")
        for one, after in pairwise(known):
            if after.number != one.number + 1:
                raise InvalidInput(
                    f"The known blocks have a gap: {after.number} comes after {one.number}.",
                    hint="Give the last blocks that were taken, oldest first.",
                )
        self._fetch = fetch
        self._first = first
        self._finality = finality
        self._known = deque(known, maxlen=finality)
        self._final = self._known[0].number if known and self._known[0].number > first else -1
        self._head = -1
        self._ahead: asyncio.Task[tuple[Block, ...]] | None = None

    @property
    def _next(self) -> int:
        """The number of the block that comes next."""
        return self._known[-1].number + 1 if self._known else self._first

    @property
    def caught_up(self) -> bool:
        """Whether nothing newer has been told of."""
        return self._head < self._next

    async def steps(self) -> list[Step]:
        """What comes next; nothing when there is no new block."""
        if self._ahead is None:
            head = await self._fetch.head()
            self._head = head.number
            if head.number < self._next:
                same = self._known and head.cursor == self._known[-1]
                return [] if same or not self._known else [await self._rolled_back(head)]
        blocks = await self._take()
        if self._known and blocks[0].parent_hash != self._known[-1].hash:
            await self.begin_again()
            return [await self._rolled_back(await self._fetch.head())]
        return self._taken(blocks)

    async def begin_again(self) -> None:
        """Forget what is on its way."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _take(self) -> tuple[Block, ...]:
        """The next blocks; those after them are already asked for while their user is busy."""
        if self._ahead is None:
            self._ask(self._next)
        assert self._ahead is not None
        blocks = await self._ahead
        self._ahead = None
        if blocks[-1].number < self._head:
            self._ask(blocks[-1].number + 1)
        return blocks

    def _ask(self, first: int) -> None:
        self._ahead = asyncio.create_task(self._fetch.blocks(first, self._head))

    def _taken(self, blocks: tuple[Block, ...]) -> list[Step]:
        """Note blocks as taken, and what has become final."""
        before = list(self._known)
        self._known.extend(block.cursor for block in blocks)
        steps: list[Step] = [Blocks(blocks, self._head)]
        final = min(blocks[-1].number, self._head - self._finality + 1)
        if final > self._final:
            cursors = {cursor.number: cursor for cursor in (*before, *(block.cursor for block in blocks))}
            if final in cursors:
                self._final = final
                steps.append(Finalized(cursors[final]))
        return steps

    async def _rolled_back(self, head: Header) -> RolledBack:
        """The newest known block that the chain still has, and those after it that it has not."""
        there = [cursor for cursor in self._known if cursor.number <= head.number]
        headers = [
            header
            for header in await self._fetch.headers([cursor.number for cursor in there])
            if header is not None
        ]
        linked(headers)
        now = {header.number: header.hash for header in headers}
        kept = [cursor for cursor in there if now.get(cursor.number) == cursor.hash]
        to = kept[-1] if kept else await self._before_the_first(head)
        dropped = tuple(cursor for cursor in reversed(self._known) if cursor.number > to.number)
        if not dropped:
            raise unfit(to.number + 1, f"its parent is not block {to.number} that the node gives")
        while self._known and self._known[-1].number > to.number:
            self._known.pop()
        return RolledBack(dropped, to)

    async def _before_the_first(self, head: Header) -> Cursor:
        """The block before all that were taken, when none of them stays."""
        oldest, newest = self._known[0], self._known[-1]
        if self._final >= 0 or self._first == 0:
            raise FinalityBroken(
                f"Block {oldest.number} is another one than it was, and so are all up to {newest.number}: "
                "the chain went back further than it is followed.",
                hint="If the chain was started anew or wound back, begin anew from its first block.",
                facts={
                    "depth": newest.number - oldest.number + 1,
                    "number": oldest.number,
                    "hash": oldest.hash,
                    "newest": newest.number,
                    "finality": self._finality,
                },
            )
        number = min(self._first - 1, head.number)
        (header,) = await self._fetch.headers([number])
        if header is None:
            raise unfit(number, "it is not there")
        return header.cursor
