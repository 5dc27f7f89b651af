"""What the shared look at the chain owes to those who read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from ogpu.events import ProtocolEvent
from ogpu.rpc.steps import Block, Blocks, Cursor, RolledBack, Step
from ogpu.streams.facts import Facts
from ogpu.streams.feed import Feed, Told
from ogpu.streams.watch import Span, Watch
from ogpu.streams.wish import wish_of

BLOCK = Block(0, "0x" + "00" * 32, "0x" + "00" * 32, 0, ())


async def one_block() -> AsyncGenerator[Step, None]:
    """A chain of one block."""
    yield Blocks((BLOCK,), 0)
    await asyncio.Event().wait()


def test_what_nobody_has_expected_ends_all_who_read_instead_of_keeping_them_waiting() -> None:
    def told(block: Block) -> Told:
        raise ValueError(f"block {block.number}")

    async def story() -> None:
        feed = Feed(one_block(), told)
        readers = [asyncio.create_task(feed.read(0, 1)) for _ in range(2)]
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*readers, feed.ready(), return_exceptions=True)
        assert [str(error) for error in ended] == ["block 0"] * 3
        assert feed.over
        with pytest.raises(ValueError, match="block 0"):
            await feed.ready()
        await feed.close()

    asyncio.run(story())


def block(number: int, chain: int = 0) -> Block:
    """A block without logs of one of two chains."""
    return Block(number, f"0x{chain:02x}{number:062x}", f"0x{chain:02x}{number - 1:062x}", 0, ())


class Torn:
    """A chain whose feed has dropped all that it had, until it goes on."""

    facts: Facts  # is not used: these blocks have no events

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.shared = Feed(self._steps(), lambda block: self.told(block, None))

    async def _steps(self) -> AsyncGenerator[Step, None]:
        yield Blocks((block(8, 1),), 8)
        yield RolledBack((block(8, 1).cursor,), block(7, 1).cursor)
        await self.goes_on.wait()
        yield Blocks((block(8), block(9), block(10)), 10)
        await asyncio.Event().wait()

    async def dropped(self) -> None:
        """Wait until its blocks are dropped."""
        while self.shared.end < 2:
            await self.shared.change()

    async def newest(self) -> int:
        return 0

    async def feed(self) -> Feed:
        await self.shared.ready()
        return self.shared

    async def history(self, known: Sequence[Cursor], first: int) -> AsyncGenerator[Step, None]:
        yield Blocks(tuple(map(block, range(10))), 9)
        await asyncio.Event().wait()

    def told(self, block: Block, kinds: frozenset[type[ProtocolEvent]] | None) -> Told:
        return Told(block.cursor, block.timestamp, ())


def test_who_begins_just_when_all_blocks_were_dropped_waits_for_those_that_replace_them() -> None:
    async def story() -> None:
        chain = Torn()
        await chain.dropped()
        watch = Watch(chain, wish_of(None, None, None, None), Span(None, 11))
        starting = asyncio.create_task(watch.start())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not starting.done()
        chain.goes_on.set()
        await starting
        assert chain.shared.chain[-1] == block(10).cursor
        await chain.shared.close()

    asyncio.run(asyncio.wait_for(story(), 5))
