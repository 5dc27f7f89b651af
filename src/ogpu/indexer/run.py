"""The indexer: it follows the chain into the database until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from ogpu.databases import is_trouble
from ogpu.errors import FinalityBroken, NetworkError, NodeBehind, RPCFailed, RPCInvalidResponse
from ogpu.indexer.database import Database
from ogpu.indexer.happenings import Decoder
from ogpu.indexer.items import Doubtful, Facts, Reader
from ogpu.indexer.place import Place
from ogpu.indexer.project import Batch
from ogpu.indexer.store import Identity, OutOfStep, Position, Store
from ogpu.indexer.trouble import trouble
from ogpu.networks import Network
from ogpu.rpc.contracts import with_manager
from ogpu.rpc.follow import FINALITY, POLL, Block, Blocks, Cursor, Finalized, Hint, RolledBack, follow
from ogpu.rpc.transport import RPC

logger = logging.getLogger(__name__)

MOST_EVENTS = 2000  # in a transaction; one more only when a single block has more
READ_AHEAD = 2  # batches that were read and wait to be written
REWIND_PATIENCE = 2.0  # seconds for which a chain that may be wound back may be shorter than it was
FIRST_PAUSE = 0.1  # seconds after a read that failed; doubles
LONGEST_PAUSE = 2.0
MOST_REFUSALS = 20  # in a row, of a node that is there but does not give what belongs to blocks
PATIENCE = 120.0  # seconds for trouble of the database, such as a server that is started again

T = TypeVar("T")
Work = Batch | RolledBack


@dataclass
class Progress:
    """How far the indexer is: its last block, and the newest one that the node told of."""

    number: int = -1
    hash: str = ""
    head: int = -1


class Indexer:
    """What keeps one index up to date. One a database: a second one gets `IndexBusy`."""

    def __init__(
        self,
        rpc: RPC,
        network: Network,
        place: Place,
        *,
        first_block: int = 0,
        poll: float = POLL,
        hint: Hint | None = None,
        may_be_wound_back: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.progress = Progress()
        self._rpc = rpc
        self._network = network
        self._place = place
        self._first_block = first_block
        self._poll = poll
        self._hint = hint
        self._patience = REWIND_PATIENCE if may_be_wound_back else None
        self._clock = clock
        self._decoder = Decoder(network)
        self._reader = Reader(rpc, network)
        self._pause = FIRST_PAUSE
        self._refusals = 0  # in a row

    async def run(self) -> None:
        """Follow the chain until it is cancelled; what is written is whole whenever that happens.

        Raises `IndexBusy`, `IndexMismatch`, `IndexFailed`, and `FinalityBroken` when a block has changed
        that was told as final, or, on a chain that may be wound back, is there no more.
        """
        identity = await self._identity()
        with ThreadPoolExecutor(1, "ogpu-index") as thread:
            writer = _Writer(Store(Database(self._place), identity), self._place, thread)
            try:
                while True:
                    await self._follow(writer, await writer.do(writer.store.open))
            except FinalityBroken as error:
                raise FinalityBroken(
                    error.message, hint="Make the index anew: `ogpu index rebuild`.", facts=error.facts
                ) from error
            finally:
                await writer.close()

    async def _identity(self) -> Identity:
        """Which chain it is of; a node that is not there is waited for, as while it is followed."""
        while True:
            try:
                genesis = await self._rpc.genesis()
                self._decoder = Decoder(await with_manager(self._rpc, self._network))
            except NetworkError as error:
                await self._wait(error)
                continue
            self._pause = FIRST_PAUSE
            network = self._network
            return Identity(network.chain_id, genesis, network.contracts["NEXUS"], self._first_block)

    async def _wait(self, error: NetworkError) -> None:
        """Wait for longer each time, after what waiting may help; a node that is away comes back."""
        refused = isinstance(error, RPCFailed | RPCInvalidResponse)
        self._refusals += refused
        if self._refusals > MOST_REFUSALS or not (refused or error.retryable):
            raise error
        logger.warning("reading for the index: beginning again: %s", error)
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _follow(self, writer: _Writer, position: Position) -> None:
        """Read and write, one beside the other, until it has to begin again from what is written."""
        self._note(position.cursor)
        queue: asyncio.Queue[Work] = asyncio.Queue(READ_AHEAD)
        tasks = [
            asyncio.create_task(self._read(position, queue)),
            asyncio.create_task(self._write(writer, position.cursor, queue)),
        ]
        try:
            await asyncio.gather(*tasks)
        except OutOfStep:
            logger.warning("the index was written by somebody else meanwhile: looking anew")
        except _Unread as unread:
            await self._wait(unread.error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, position: Position, queue: asyncio.Queue[Work]) -> None:
        steps = follow(
            self._rpc,
            self._decoder.addresses,
            position.known,
            first=position.first_block,
            poll=self._poll,
            hint=self._hint,
            patience=self._patience,
        )
        try:
            async for step in steps:
                match step:
                    case Blocks():
                        async for batch in self._batches(step):
                            await queue.put(batch)
                        self._pause, self._refusals = FIRST_PAUSE, 0
                    case RolledBack():
                        await queue.put(step)
                    case Finalized():
                        pass  # written with the blocks, as `Batch.final`
        except FinalityBroken:
            raise
        except NetworkError as error:
            if self._patience is None:
                raise
            if isinstance(error, NodeBehind):  # no other node will have what was final
                raise FinalityBroken(error.message, hint=error.hint, facts=error.facts) from error
            raise _Unread(error) from error
        finally:
            await steps.aclose()

    async def _batches(self, step: Blocks) -> AsyncIterator[Batch]:
        for blocks in parts(step.blocks):
            happenings = self._decoder.of(blocks)
            final = min(blocks[-1].number, step.head - FINALITY + 1)
            try:
                facts = await self._reader.facts(happenings, blocks[-1], final)
            except NetworkError as error:
                raise _Unread(error) from error
            yield Batch(blocks, happenings, facts, step.head, final)

    async def _write(self, writer: _Writer, at: Cursor, queue: asyncio.Queue[Work]) -> None:
        while True:
            work, before = await queue.get(), at
            if isinstance(work, Batch):
                at = work.blocks[-1].cursor
                self.progress.head = max(work.head, at.number)
                await writer.do(partial(writer.store.take, work, before))
            else:
                at = work.to
                again = await self._read_again(await writer.do(partial(writer.store.doubtful, at)), at)
                now = int(self._clock())
                await writer.do(partial(writer.store.roll_back, work, before, now, again))
                logger.warning("the chain dropped %d blocks after block %d", len(work.dropped), at.number)
            self._note(at)

    async def _read_again(self, doubtful: Doubtful, at: Cursor) -> Facts:
        try:
            return await self._reader.again(doubtful, at)
        except NetworkError as error:
            raise _Unread(error) from error

    def _note(self, at: Cursor) -> None:
        self.progress.number, self.progress.hash = at.number, at.hash


class _Unread(Exception):
    """What belongs to blocks could not be read, so they are taken anew, if they are still there."""

    def __init__(self, error: NetworkError) -> None:
        super().__init__(error)
        self.error = error


class _Writer:
    """The store, used in a thread of its own so that reading goes on meanwhile."""

    def __init__(self, store: Store, place: Place, thread: ThreadPoolExecutor) -> None:
        self.store = store
        self._place = place
        self._thread = thread

    async def do(self, work: Callable[[], T]) -> T:
        """Do something with the store; cancelled, it has done it or not begun.

        Trouble of the database that may pass is waited out for `PATIENCE` seconds: whatever is not committed
        is done anew, and what is committed already is seen to be.
        """
        pause, deadline = FIRST_PAUSE, time.monotonic() + PATIENCE
        while True:
            try:
                return await self._in_thread(work)
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                if not is_trouble(error):
                    raise
                failure = trouble(error, self._place)
                await self._in_thread(self.store.give_up)
                if not failure.retryable or time.monotonic() > deadline:
                    raise failure from error
            logger.warning("writing the index: trying again: %s", failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Free the database."""
        await self._in_thread(self.store.close)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def parts(blocks: Sequence[Block]) -> list[tuple[Block, ...]]:
    """Blocks in parts of a bounded number of events."""
    made: list[tuple[Block, ...]] = []
    part: list[Block] = []
    count = 0
    for block in blocks:
        if part and count + len(block.logs) > MOST_EVENTS:
            made.append(tuple(part))
            part, count = [], 0
        part.append(block)
        count += len(block.logs)
    return [*made, tuple(part)]
