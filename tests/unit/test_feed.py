"""What the shared look at the chain owes to those who read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ogpu.rpc.steps import Block, Blocks, Step
from ogpu.streams.feed import Feed, Told

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
