"""What is measured: delays, requests, and how many events a second come through."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from events_parts.happening import Deposits
from index_parts.chain import Chain
from ogpu import AsyncClient, Client
from ogpu.events import Deposited
from ogpu.networks import Network, parse_network
from shared.counting import Requests

PAUSE = (0.05, 0.4)  # seconds between two deposits, at random: a poll may be anywhere then
BLOCKS = 20  # for which requests are counted


@asynccontextmanager
async def opened(network: Network) -> AsyncIterator[AsyncClient]:
    """A client that sends nothing."""
    async with AsyncClient(network, journal=":memory:") as client:
        yield client


async def delays(network: Network, deposits: Deposits, rounds: int, *, heard: bool) -> list[float]:
    """Seconds from a block to its watcher, with or without news of blocks by WebSocket."""
    found: list[float] = []
    chance = random.Random(1)
    chosen = network if heard else replace(network, ws_urls=())
    async with opened(chosen) as client, client.events(Deposited) as stream:
        for number in range(1, rounds + 1):
            await asyncio.sleep(chance.uniform(*PAUSE))
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            mined = asyncio.create_task(asyncio.to_thread(deposits.make, number))
            event = await waiting
            seen = time.perf_counter()
            assert event.amount == number
            found.append(max(0.0, seen - await mined))
    return found


@dataclass(frozen=True)
class Asked:
    """The HTTP requests that watchers made: to begin, and for the blocks that came."""

    watchers: int
    started: int
    blocks: int


async def requests(network: Network, deposits: Deposits, watchers: int) -> Asked:
    """What so many watchers ask for, each with a filter of its own, while blocks come."""
    counting = Requests()
    async with opened(network) as client, AsyncExitStack() as stack:
        await client.nexus.source_count()  # the connection is open, and the node's chain is checked
        counting.count = 0
        streams = [
            await stack.enter_async_context(
                client.events(Deposited, provider=[deposits.account, f"0x{number:040x}"])
            )
            for number in range(1, watchers + 1)
        ]
        started, counting.count = counting.count, 0
        for number in range(1, BLOCKS + 1):
            made = asyncio.create_task(asyncio.to_thread(deposits.make, number))
            found = await asyncio.gather(*(anext(stream) for stream in streams))
            assert {event.amount for event in found} == {number}
            await made
        return Asked(watchers, started, counting.count)


@dataclass(frozen=True)
class Flow:
    """How many events came through in so many seconds."""

    name: str
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


async def history(chain: Chain, head: int) -> Flow:
    """All that has happened, through an asynchronous stream."""
    async with opened(network_of(chain)) as client:
        begin = time.perf_counter()
        found = [event async for event in client.events(from_block=0, to_block=head)]
        return Flow("history", len(found), time.perf_counter() - begin)


def history_plain(chain: Chain, head: int) -> Flow:
    """The same through a synchronous one."""
    with Client(network_of(chain), journal=":memory:") as client:
        begin = time.perf_counter()
        count = sum(1 for _ in client.events(from_block=0, to_block=head))
        return Flow("history, synchronous", count, time.perf_counter() - begin)


async def live(chain: Chain, events: int, watchers: int) -> Flow:
    """What watchers get together while blocks are mined as fast as the node can."""
    async with opened(network_of(chain)) as client, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.events()) for _ in range(watchers)]
        counts, last = [0] * watchers, [0.0] * watchers

        async def read(place: int) -> None:
            async for _ in streams[place]:
                counts[place] += 1
                last[place] = time.perf_counter()

        before, begin = chain.events, time.perf_counter()
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(read(place)) for place in range(watchers)]
            await chain.grow(before + events)
            while min(counts) < chain.events - before:
                await asyncio.sleep(0.002)
            for each in reading:
                each.cancel()
        name = f"live, {watchers} watchers" if watchers > 1 else "live"
        return Flow(name, sum(counts), max(last) - begin)


def network_of(chain: Chain) -> Network:
    """The network of a chain, which also tells of its blocks."""
    document = chain.network_file() | {"ws_urls": [chain.url.replace("http", "ws", 1)]}
    return parse_network(document, "the benchmark")
