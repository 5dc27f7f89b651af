"""Hazards of following a chain: what is lost, told twice, of a dropped block, or never told to be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
from tests.support.anvil import CHAIN_ID, LOGGER, Anvil, anvil

from ogpu.rpc.follow import Block, Blocks, Cursor, Finalized, RolledBack, Step, follow
from ogpu.rpc.transport import RPC

T = TypeVar("T")
PATIENCE = 20.0  # seconds
QUICK = 0.02  # seconds between two looks


@pytest.fixture(scope="module")
def shared() -> Iterator[Anvil]:
    """A node that the tests of this file share."""
    with anvil() as running:
        yield running


@pytest.fixture
def node(shared: Anvil) -> Iterator[Anvil]:
    """The same, wound back after the test."""
    snapshot = shared.rpc("evm_snapshot")
    yield shared
    shared.rpc("evm_revert", snapshot)


class Reader:
    """What a consumer makes of the steps: its copy of the chain. Each step has to fit the one before."""

    def __init__(self, known: Sequence[Block] = ()) -> None:
        self.blocks = list(known)
        self.steps: list[Step] = []
        self.final = -1

    def take(self, step: Step) -> None:
        self.steps.append(step)
        match step:
            case Blocks(blocks, head):
                assert blocks
                assert blocks[-1].number <= head
                for block in blocks:
                    assert not self.blocks or block.parent_hash == self.blocks[-1].hash
                    assert not self.blocks or block.number == self.blocks[-1].number + 1
                    self.blocks.append(block)
            case RolledBack(dropped, to):
                assert to.number >= self.final
                gone = [self.blocks.pop() for _ in dropped]
                assert dropped == tuple(block.cursor for block in gone)
                assert not self.blocks or self.blocks[-1].cursor == to
            case Finalized(cursor):
                assert cursor.number > self.final
                assert cursor in [block.cursor for block in self.blocks]
                self.final = cursor.number

    @property
    def hashes(self) -> list[str]:
        return [block.hash for block in self.blocks]

    def cursors(self, count: int) -> list[Cursor]:
        """The last blocks' places."""
        return [block.cursor for block in self.blocks[-count:]]

    def numbers(self) -> list[int]:
        """All that was logged."""
        return [int(log["data"], 16) for block in self.blocks for log in block.logs]


def followed(url: str | Sequence[str], story: Callable[[RPC], Awaitable[T]], timeout: float = 5) -> T:
    """What a story with a connection returns."""

    async def main() -> T:
        rpc = RPC([url] if isinstance(url, str) else url, CHAIN_ID, timeout=timeout)
        try:
            async with asyncio.timeout(PATIENCE):
                return await story(rpc)
        finally:
            await rpc.close()

    return asyncio.run(main())


async def read(steps: AsyncGenerator[Step, None], reader: Reader, until: Callable[[], bool]) -> Reader:
    """Take steps until something holds after one."""
    async with aclosing(steps):
        async for step in steps:
            reader.take(step)
            if until():
                break
    return reader


async def caught_up(rpc: RPC, node: Anvil, reader: Reader | None = None, **options: Any) -> Reader:
    """Read until the newest block is there as the node has it."""
    reader = reader or Reader()
    head = await asyncio.to_thread(node.rpc, "eth_getBlockByNumber", "latest", False)
    final = max(-1, int(head["number"], 16) - 63)
    steps = follow(rpc, [LOGGER], reader.cursors(64), poll=QUICK, **options)
    return await read(steps, reader, lambda: head["hash"] in reader.hashes[-1:] and reader.final == final)


def test_history_and_what_comes_live_are_told_whole_and_once(node: Anvil) -> None:
    for count in (3, 0, 5):
        node.log(count)
    node.mine(200)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        await asyncio.to_thread(node.log, 2)
        return await caught_up(rpc, node, reader)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()
    assert reader.numbers() == [3, 2, 1, 5, 4, 3, 2, 1, 2, 1]
    assert reader.final == node.head() - 63


@pytest.mark.parametrize("depth", [1, 3, 16])
def test_blocks_that_a_reorganisation_dropped_are_taken_back(node: Anvil, depth: int) -> None:
    for _ in range(20):
        node.log()

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        await asyncio.to_thread(node.rpc, "anvil_reorg", depth, [])
        await asyncio.to_thread(node.mine)
        return await caught_up(rpc, node, reader)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()
    assert reader.numbers() == [1] * (20 - depth)
    assert [len(step.dropped) for step in reader.steps if isinstance(step, RolledBack)] == [depth]
