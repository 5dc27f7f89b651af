"""The event streams of one client: one feed while anybody watches, and what each needs to read by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from ogpu.errors import ClientClosed, NetworkError
from ogpu.events import ProtocolEvent
from ogpu.networks import Network
from ogpu.rpc.codec import ZERO_ADDRESS
from ogpu.rpc.contracts import with_manager
from ogpu.rpc.follow import follow
from ogpu.rpc.steps import POLL, Block, Cursor, RolledBack, Step
from ogpu.rpc.subscription import NewHeads
from ogpu.rpc.transport import RPC
from ogpu.streams.decoding import STREAMED, Decoder
from ogpu.streams.facts import Facts
from ogpu.streams.feed import Feed, Told
from ogpu.streams.stream import AsyncEventStream, Member, Reader
from ogpu.streams.watch import Span, Watch
from ogpu.streams.wish import check_span, wish_of

PATIENCE = 30.0  # seconds for which the network may be away while somebody watches


class Streams:
    """Who watches the network through one client."""

    def __init__(self, rpc: RPC, network: Network) -> None:
        self._rpc = rpc
        self._network = network
        self.facts = Facts(rpc)
        self.poll = POLL
        self.patience = PATIENCE
        self._members: set[Member] = set()
        self._feed: Feed | None = None
        self._decoder: Decoder | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def stream(
        self, kinds: Any, source: Any, task: Any, provider: Any, first: Any, last: Any
    ) -> AsyncEventStream[Any]:
        """A stream of what a caller asks for."""
        check_span(first, last)
        watch = Watch(self, wish_of(kinds, source, task, provider), Span(first, last))
        return AsyncEventStream(Reader(self, watch))

    async def close(self) -> None:
        """End all streams; who waits for an event gets `ClientClosed`."""
        self._closed = True
        for member in list(self._members):
            member.end(_closed())
        await self.ended()
        await self.facts.close()

    # --- for those who read

    def enter(self, member: Member) -> None:
        """Somebody begins to read."""
        if self._closed:
            raise _closed()
        self._members.add(member)

    def leave(self, member: Member) -> None:
        """Somebody reads no more; the last one ends the feed."""
        self._members.discard(member)
        feed = self._feed
        if not self._members and feed is not None:
            self._feed = None
            ending = asyncio.create_task(feed.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def ended(self) -> None:
        """Wait until nothing is left that was for those who have left."""
        await asyncio.gather(*self._ending)

    async def feed(self) -> Feed:
        """The feed that all share, once it has caught up; one that has failed is made anew."""
        if self._feed is None or self._feed.over:
            self._feed = Feed(self._steps(), self._told_to_all)
        feed = self._feed
        await feed.ready()
        return feed

    def history(self, known: Sequence[Cursor], first: int) -> AsyncGenerator[Step, None]:
        """The chain's steps from a place on, for one watcher alone."""
        return follow(self._rpc, self._there.addresses, tuple(known), first=first, patience=self.patience)

    async def newest(self) -> int:
        """The newest block that the client has seen in any way, when it is there; else 0.

        A head may be a lie: who waited for what comes after it would wait for ever.
        """
        told, feed = self._rpc.highest, self._feed
        if feed is None or not feed.chain or told <= feed.chain[-1].number:
            return 0  # a feed that begins now comes to it
        with contextlib.suppress(NetworkError):
            if await self._rpc.call("eth_getBlockByNumber", hex(told), False) is not None:
                return told
        return 0

    def told(self, block: Block, kinds: frozenset[type[ProtocolEvent]] | None) -> Told:
        """A block with its events."""
        return Told(block.cursor, block.timestamp, tuple(self._there.events(block, kinds)))

    @property
    def _there(self) -> Decoder:
        assert self._decoder is not None  # made with the first feed
        return self._decoder

    def _told_to_all(self, block: Block) -> Told:
        told = self.told(block, None)
        self.facts.learn(told.events)
        return told

    async def _steps(self) -> AsyncGenerator[Step, None]:
        """The chain from its last blocks on, which a reorganisation may yet drop."""
        if self._decoder is None:
            self._decoder = Decoder(await self._contracts())
        async with NewHeads(self._network.ws_urls) as hint:
            steps = follow(
                self._rpc,
                self._there.addresses,
                first=None,
                poll=self.poll,
                hint=hint,
                patience=self.patience,
            )
            async with contextlib.aclosing(steps):
                async for step in steps:
                    if isinstance(step, RolledBack):
                        self.facts.forget()
                    yield step

    async def _contracts(self) -> dict[str, str]:
        """The contracts by name."""
        named = (await with_manager(self._rpc, self._network)).contracts
        found = {name: named.get(name.upper(), ZERO_ADDRESS) for name in STREAMED}
        return {name: address for name, address in found.items() if address != ZERO_ADDRESS}


def _closed() -> ClientClosed:
    return ClientClosed("The client is closed.")
