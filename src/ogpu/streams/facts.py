"""What events do not carry of tasks and responses: remembered, or read in one batch for all who ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from ogpu.errors import OGPUError, RPCFailed, RPCInvalidResponse
from ogpu.events import ProtocolEvent
from ogpu.rpc.answers import Request, hash_of, raised
from ogpu.rpc.codec import interface
from ogpu.rpc.steps import Cursor
from ogpu.rpc.transport import RPC
from ogpu.streams.wish import Item, Kin, Wish
from ogpu.text import printable

logger = logging.getLogger(__name__)

MOST = 1 << 16  # of each kind that are remembered, in some 20 MB

_GETTERS = {"Task": "getSource", "Response": "getResponseParams"}
_Ask = tuple[Cursor, frozenset[Item], "asyncio.Future[bool]"]


class Gone(Exception):
    """The block from which something should be known is not on the node's chain."""


class Facts:
    """What is known of the items of one network."""

    def __init__(self, rpc: RPC) -> None:
        self._rpc = rpc
        self.kin = Kin()
        self._asked: list[_Ask] = []
        self._reader: asyncio.Task[None] | None = None

    def learn(self, events: Iterable[ProtocolEvent]) -> None:
        """Remember what events of the chain as it is now tell."""
        self.kin.learn(events)

    def forget(self) -> None:
        """The chain has dropped blocks: at the same addresses there may be other items now."""
        self.kin = Kin()

    async def see_to(self, wish: Wish, events: Sequence[ProtocolEvent], at: Cursor) -> None:
        """Know what it takes to tell which of these events are wanted; raises `Gone`.

        `at` is a block of their chain, not before the last of them.
        """
        self._trim()
        while unknown := _unknown(wish, events, self.kin):
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._asked.append((at, unknown, future))
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read_all())
            if not await future:
                raise Gone

    async def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _trim(self) -> None:
        for known in (self.kin.sources, self.kin.tasks, self.kin.providers):
            while len(known) > MOST:
                del known[next(iter(known))]  # the oldest

    async def _read_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                await self._read(asked)
            except OGPUError as error:
                for _, _, future in asked:
                    if not future.done():
                        future.set_exception(error)
            finally:
                for _, _, future in asked:
                    future.cancel()  # only what is still open, when the client ends

    async def _read(self, asked: Sequence[_Ask]) -> None:
        cursors = list({cursor: None for cursor, _, _ in asked})
        items = list({item: None for _, items, _ in asked for item in items})
        requests: list[Request] = [("eth_blockNumber", [])]  # which shows a node that lags
        requests += [_view(item) for item in items]
        requests += [("eth_getBlockByNumber", [hex(cursor.number), False]) for cursor in cursors]
        kin, (_, *answers) = self.kin, await self._rpc.batch(requests)
        there = {
            cursor: _has(raised(answer), cursor)
            for cursor, answer in zip(cursors, answers[len(items) :], strict=True)
        }
        if any(there.values()):
            for item, answer in zip(items, answers, strict=False):
                _remember(kin, item, answer)
        for cursor, _, future in asked:
            if not future.done():  # whoever asked may be gone
                future.set_result(there[cursor] and kin is self.kin)


def _unknown(wish: Wish, events: Sequence[ProtocolEvent], kin: Kin) -> frozenset[Item]:
    verdicts = (wish.verdict(event, kin) for event in events)
    return frozenset(item for verdict in verdicts if isinstance(verdict, list) for item in verdict)


def _has(block: Any, cursor: Cursor) -> bool:
    """Whether a node's chain has a block, by its answer for that number."""
    return isinstance(block, dict) and hash_of(block.get("hash")) == cursor.hash


def _view(item: Item) -> Request:
    data = interface(item.contract).functions[_GETTERS[item.contract]].encode()
    return "eth_call", [{"to": item.address, "data": data}, "latest"]


def _remember(kin: Kin, item: Item, answer: Any) -> None:
    """Note what an item says of itself; one that says nothing sensible is of nobody."""
    try:
        value = interface(item.contract).functions[_GETTERS[item.contract]].decode(raised(answer))
    except (RPCFailed, RPCInvalidResponse) as error:
        reason = printable(str(error), 200)
        logger.warning(
            "%s %s is not shown to who asks for some only: %s", item.contract, item.address, reason
        )
        value = NOBODY if item.contract == "Task" else (NOBODY, NOBODY)
    if item.contract == "Task":
        kin.sources[item.address] = value
    else:
        kin.tasks[item.address], kin.providers[item.address] = value[0], value[1]


NOBODY = "nobody"
