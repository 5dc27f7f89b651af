"""Following the chain: blocks with the logs of some contracts, reorganisations, and what is final.

The events, the index and waiting are built on it. It keeps no state but the last blocks' places, which its
user gives back as `known` to go on where it was.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

from ogpu.errors import FinalityBroken, InvalidInput, NetworkError, NodeBehind, RPCUnreachable
from ogpu.rpc.blocks import Header, linked, unfit
from ogpu.rpc.codec import checked_address
from ogpu.rpc.fetching import Fetch, told
from ogpu.rpc.patience import Patience
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


async def follow(
    rpc: RPC,
    addresses: Sequence[str],
    known: Sequence[Cursor] = (),
    *,
    first: int | None = 0,
    finality: int = FINALITY,
    poll: float = POLL,
    hint: Hint | None = None,
    patience: float | None = None,
) -> AsyncGenerator[Step, None]:
    """Every block after the `known` ones, or from `first` on, as the chain has it; it never ends by itself.

    `first` None: from the newest `finality` blocks on.
    `known`: the blocks that were taken already, oldest first and without a gap, at most the last `finality`
    of them, down to the last one that was told as final, which no rollback goes below.
    After `RolledBack` the blocks that replace those dropped follow. `poll`: seconds between two looks for a
    new block; a `hint` can make it look sooner. A network that is away is waited for, with warnings in the
    log, for `patience` seconds (None: for ever). Logs are taken only when they fit their block, and are asked
    for again, of another node if there is one, when all of a contract's in a block seem to be missing. That a
    node leaves out a part of them, or changes their data, no header shows.

    Raises `FinalityBroken` when a block has changed that was told as final, `ChainInconsistent` when nodes
    go on contradicting themselves, `RPCAnswerTooLarge` for a block with more logs than a node gives at once,
    and what else no waiting helps, such as `WrongChain`. Close it by `aclose()` or `contextlib.aclosing`.
    """
    follower = _Follower(Fetch(rpc, [checked_address(a) for a in addresses]), known, first, finality)
    if known:
        rpc.expect(known[-1].number)
    trouble, now = Patience(patience), asyncio.get_running_loop().time
    try:
        while True:
            try:
                steps = await follower.steps()
            except NetworkError as error:
                await follower.begin_again(of_another=not isinstance(error, RPCUnreachable))
                await asyncio.sleep(trouble.pause_after(error, now()))
                continue
            trouble.calm(now())
            for step in steps:
                yield step
            if follower.caught_up:
                await (asyncio.sleep(poll) if hint is None else hint.wait(poll))
    finally:
        await follower.begin_again()


class _Follower:
    """Where it is on the chain, and what comes next."""

    def __init__(self, fetch: Fetch, known: Sequence[Cursor], first: int | None, finality: int) -> None:
        _check(known, first or 0, finality)
        self._fetch = fetch
        self._first = first or 0
        self._at_the_newest = first is None and not known  # where that is, the head tells
        self._finality = finality
        self._known = deque(known, maxlen=finality)
        self._final = self._known[0].number if known and self._known[0].number > self._first else -1
        self._head = -1
        self._ahead: asyncio.Task[list[Block]] | None = None

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
        if self._ahead is not None:
            return await self._forward(self._ahead)
        head = await self._fetch.head()
        self._head = head.number
        if self._at_the_newest:
            self._first = max(0, head.number - self._finality + 1)
        if head.number - self._next >= self._fetch.reach:  # else it is in the next range
            told((await self._fetch.headers([head.number]))[0], head.number)
        if head.number > self._next:
            return await self._forward(self._ask(self._next))
        if head.number == self._next:
            return await self._fitted([await self._fetch.block(head)])
        if not self._known or head.cursor == self._known[-1]:
            return []
        return [await self._rolled_back(head)]

    async def begin_again(self, *, of_another: bool = False) -> None:
        """Forget what is on its way, and ask another node for it next time."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        if of_another:
            self._fetch.ask_another()

    async def _forward(self, coming: asyncio.Task[list[Block]]) -> list[Step]:
        """The next blocks; those after them are asked for while their user is busy with these."""
        blocks = await coming
        self._ahead = None
        if blocks[-1].number < self._head:
            self._ask(blocks[-1].number + 1)
        return await self._fitted(blocks)

    def _ask(self, first: int) -> asyncio.Task[list[Block]]:
        self._ahead = asyncio.create_task(self._fetch.blocks(first, self._head))
        return self._ahead

    async def _fitted(self, blocks: list[Block]) -> list[Step]:
        """Blocks that go on where it is, or else what they replace."""
        if not self._known or blocks[0].parent_hash == self._known[-1].hash:
            return self._taken(tuple(blocks))
        await self.begin_again()
        return [await self._rolled_back(await self._fetch.head())]

    def _taken(self, blocks: tuple[Block, ...]) -> list[Step]:
        """Note blocks as taken, and what has become final."""
        cursors = {cursor.number: cursor for cursor in self._known}
        cursors |= {block.number: block.cursor for block in blocks}
        self._known.extend(block.cursor for block in blocks)
        self._at_the_newest = False
        steps: list[Step] = [Blocks(blocks, self._head)]
        final = min(blocks[-1].number, self._head - self._finality + 1)
        if final > self._final and final in cursors:
            self._final = final
            steps.append(Finalized(cursors[final]))
        return steps

    async def _rolled_back(self, head: Header) -> RolledBack:
        """The newest known block that the chain still has, and those after it that it has not."""
        if head.number < self._final:
            raise _behind(head.number, self._final)
        open_ = [cursor for cursor in self._known if self._final <= cursor.number <= head.number]
        numbers = [cursor.number for cursor in open_]
        headers = list(map(told, await self._fetch.headers(numbers), numbers))
        linked(headers)
        hashes = {header.number: header.hash for header in headers}
        kept = [cursor for cursor in open_ if hashes[cursor.number] == cursor.hash]
        to = kept[-1] if kept else await self._before_the_first(head)
        dropped = tuple(cursor for cursor in reversed(self._known) if cursor.number > to.number)
        if not dropped:
            raise unfit(to.number + 1, f"its parent is not the block {to.number} that the node gives")
        while self._known and self._known[-1].number > to.number:
            self._known.pop()
        return RolledBack(dropped, to)

    async def _before_the_first(self, head: Header) -> Cursor:
        """The block before the first that was followed, when none of the known ones stays."""
        if self._final >= 0 or self._first == 0:
            raise self._broken()
        number = min(self._first - 1, head.number)
        (header,) = await self._fetch.headers([number])
        if header is None:
            raise unfit(number, "it is not there")
        return header.cursor

    def _broken(self) -> FinalityBroken:
        newest = self._known[-1].number
        oldest = next(cursor for cursor in self._known if cursor.number >= self._final)
        return FinalityBroken(
            f"Block {oldest.number} is another one than it was, though it was final, or the first one: the "
            f"chain went back by at least {newest - oldest.number + 1} blocks.",
            hint="If it was started anew or wound back, begin anew too; else see what other nodes have.",
            facts={
                "depth": newest - oldest.number + 1,
                "number": oldest.number,
                "hash": oldest.hash,
                "newest": newest,
                "finality": self._finality,
            },
        )


def _behind(head: int, final: int) -> NodeBehind:
    return NodeBehind(
        f"The node is at block {head}, and block {final} was final before.",
        hint="Wait while it fetches the chain, or use another node; if the chain was started anew or wound "
        "back, begin anew too.",
        facts={"head": head, "final": final},
    )


def _check(known: Sequence[Cursor], first: int, finality: int) -> None:
    """Raise `InvalidInput` for where nobody can begin."""
    if first < 0 or finality < 1:
        raise InvalidInput("The first block is at least 0, and the finality at least one block.")
    for one, after in pairwise(known):
        if after.number != one.number + 1:
            raise InvalidInput(
                f"The known blocks have a gap: {after.number} comes after {one.number}.",
                hint="Give the last blocks that were taken, oldest first.",
            )
