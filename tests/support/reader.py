"""A consumer of `follow` that holds each step against the one before, and what tests do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from ogpu.rpc.follow import FINALITY, Block, Blocks, Cursor, Finalized, RolledBack, Step, follow
from ogpu.rpc.transport import RPC
from tests.support.anvil import CHAIN_ID, LOGGER, Anvil

T = TypeVar("T")
PATIENCE = 60.0  # seconds
QUICK = 0.02  # seconds between two looks


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
    def rollbacks(self) -> list[int]:
        """How many blocks went, each time that some did."""
        return [len(step.dropped) for step in self.steps if isinstance(step, RolledBack)]

    @property
    def hashes(self) -> list[str]:
        return [block.hash for block in self.blocks]

    def cursors(self, count: int) -> list[Cursor]:
        """The last blocks' places."""
        return [block.cursor for block in self.blocks[-count:]]

    @property
    def logs(self) -> list[Any]:
        """All logs, as they were told."""
        return [log for block in self.blocks for log in block.logs]

    def numbers(self) -> list[int]:
        """All that was logged."""
        return [int(log["data"], 16) for log in self.logs]


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


async def caught_up(
    rpc: RPC, node: Anvil, reader: Reader | None = None, *, finality: int = FINALITY, **options: Any
) -> Reader:
    """Read until the newest block is there as the node has it; with what a reader has, on from there."""
    reader = reader or Reader()
    head = await asyncio.to_thread(node.rpc, "eth_getBlockByNumber", "latest", False)
    final = max(-1, int(head["number"], 16) - finality + 1)

    def there() -> bool:
        return head["hash"] in reader.hashes[-1:] and reader.final == final

    if there():
        return reader
    steps = follow(rpc, [LOGGER], reader.cursors(finality), poll=QUICK, finality=finality, **options)
    return await read(steps, reader, there)
