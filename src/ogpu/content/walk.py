"""A file fetched block by block: each is checked against its own CID, so the file may have any layout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ogpu.content.cid import CID
from ogpu.content.dag import Node, read_node
from ogpu.content.http import Failure
from ogpu.content.receiver import Receiver
from ogpu.errors import ContentInvalid, ContentTooLarge

_AHEAD = 4  # blocks that are asked for at a time
_DEEPEST = 64  # levels; a file of 2 ** 64 bytes has 9
_BIG = 64 * 1024  # bytes that are read in a thread, since each may be a field

GetBlock = Callable[[CID], Coroutine[Any, Any, bytes | Failure]]  # the block is checked already


@dataclass(slots=True)
class _Part:
    """A part of the file that is still to come."""

    cid: CID
    size: int | None  # of the file, as the block above says
    depth: int
    block: asyncio.Task[bytes | Failure] | None = None


async def walk(root: CID, get_block: GetBlock, receiver: Receiver, limit: int) -> Failure | None:
    """Give the file's bytes to the receiver in order; the failure when a block could not be had.

    Raises what no other server can change: `ContentTooLarge`, `ContentInvalid` for a tree that is no
    proper file, `UnsupportedCID` for what is no file at all, or has parts that cannot be checked.
    """
    waiting = [_Part(root, None, 0)]  # the next one last
    try:
        while waiting:
            for part in waiting[-_AHEAD:]:
                if part.block is None:
                    part.block = asyncio.create_task(get_block(part.cid))
            part = waiting.pop()
            assert part.block is not None
            block = await part.block
            if isinstance(block, Failure):
                return block
            node = await _read(part, block)
            if node.size > limit:
                raise ContentTooLarge(
                    f"{root} names {node.size:,} bytes; the limit is {limit:,}.",
                    facts={"limit": limit, "size": node.size},
                )
            if part.size is None:
                receiver.expect(node.size)
            await receiver.take(node.data)
            waiting += [_Part(link.cid, link.size, part.depth + 1) for link in reversed(node.links)]
    finally:
        await _stop([part.block for part in waiting if part.block is not None])
    return None


async def _read(part: _Part, block: bytes) -> Node:
    node = (
        await asyncio.to_thread(read_node, part.cid, block)
        if len(block) > _BIG
        else read_node(part.cid, block)
    )
    if part.size is not None and node.size != part.size:
        raise ContentInvalid(
            f"{part.cid} has {node.size:,} bytes where the block above it says {part.size:,}."
        )
    if part.depth > _DEEPEST:
        raise ContentInvalid(f"The file's blocks are over {_DEEPEST} levels deep.")
    return node


async def _stop(tasks: list[asyncio.Task[bytes | Failure]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
