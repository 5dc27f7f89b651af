"""Nodes that fail, lie, lag or end while somebody watches; and watchers that are slow, or leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.emitting import SOMEBODY, Emitter, emitter
from tests.support.faults import Answer, Call
from tests.support.localnet import RunningNetwork
from tests.support.market import through
from tests.support.proxy import Fault, Proxy, proxied
from tests.support.watching import (
    PATIENCE,
    Ledger,
    amounts,
    deposit,
    head,
    nobody_watches,
    streams_of,
)

from ogpu import AsyncClient
from ogpu.errors import FinalityBroken, RPCUnreachable, WrongChain
from ogpu.events import Deposited, ProtocolEvent, ResponseSubmitted, TaskStatusChanged
from ogpu.rpc.codec import interface
from ogpu.streams.stream import AsyncEventStream
from ogpu.types import TaskStatus


@pytest.fixture(scope="module")
def emitting() -> Iterator[Emitter]:
    """A node whose contracts emit what a test says."""
    with emitter() as found:
        yield found


async def after(stream: AsyncEventStream[Deposited], amount: int, ledger: Ledger | None = None) -> Ledger:
    """All that comes up to a deposit."""
    ledger = ledger or Ledger()
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            ledger.take(event)
            if event.amount == amount:
                return ledger
    raise AssertionError("the stream ended")


async def some(
    stream: AsyncEventStream[Deposited], count: int, told: list[Deposited] | None = None
) -> list[Deposited]:
    """The next events, as they come."""
    told = [] if told is None else told
    async with asyncio.timeout(PATIENCE):
        while len(told) < count:
            told.append(await anext(stream))
    return told


async def exhausted(stream: AsyncEventStream[ProtocolEvent]) -> None:
    """Read on until that is over."""
    async for _ in stream:
        pass


# --- nodes


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_at_random_lose_and_double_nothing(seed: int) -> None:
    async def story(own: Emitter) -> tuple[Ledger, Ledger]:
        with proxied(own.node.url) as proxy:
            proxy.silence = 0.2
            async with own.client(proxy.url, heard=False) as client:
                streams_of(client).poll = 0.01
                async with client.events(Deposited, provider=SOMEBODY) as live:
                    proxy.rate(0.1, seed)
                    past = client.events(Deposited, from_block=0)
                    reading = asyncio.gather(after(live, 30), after(past, 30))
                    for amount in range(1, 31):
                        await asyncio.to_thread(own.deposits, amount)
                        if amount % 10 == 5:
                            await asyncio.to_thread(own.reorganise, 2)
                    ledgers = await reading
                    assert sum(proxy.faults.values())
                    proxy.calm()
                    await past.aclose()
                return ledgers

    with emitter() as own:
        ledgers = asyncio.run(story(own))
        assert [ledger.keys for ledger in ledgers] == [own.logged()] * 2


def test_a_node_that_is_away_for_longer_than_is_waited_is_told_to_every_watcher(
    bare: RunningNetwork,
) -> None:
    async def story() -> None:
        with proxied(bare.url) as proxy:
            async with AsyncClient(replace(through(bare, proxy.url), ws_urls=())) as client:
                streams = streams_of(client)
                streams.poll, streams.patience = 0.01, 0.2
                watching = [client.events(Deposited) for _ in range(3)]
                for stream in watching:
                    await stream.__aenter__()
                proxy.order("*", Fault.DROP_BEFORE, 10**6)
                told = await asyncio.gather(*(anext(each) for each in watching), return_exceptions=True)
                assert {type(error) for error in told} == {RPCUnreachable}
                assert nobody_watches(streams)
                assert [await anext(each, None) for each in watching] == [None] * 3  # each was told once
                proxy.calm()
                async with client.events(Deposited) as again:
                    await asyncio.to_thread(deposit, bare, 1)
                    assert amounts([await anext(again)]) == [1]

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_another_chain_at_the_node_s_address_ends_all_streams(bare: RunningNetwork) -> None:
    async def story() -> None:
        with proxied(bare.url) as proxy:
            async with AsyncClient(replace(through(bare, proxy.url), ws_urls=())) as client:
                streams_of(client).poll = 0.01
                async with client.events() as one, client.events(from_block=0) as other:
                    before = head(bare)
                    await asyncio.to_thread(bare.transact, "Vault", "deposit", bare.address(), value=1)
                    while (await anext(other)).place.block_number <= before:
                        pass
                    proxy.order("*", Fault.REPLACED)
                    with pytest.raises(WrongChain):
                        await exhausted(one)
                    with pytest.raises(WrongChain):
                        await exhausted(other)

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def false_head(proxy: Proxy, *methods: str) -> list[Call]:
    """Have a node lie once about its head, by one of these methods; the call that was answered so."""
    lies: list[Call] = []

    def lie(call: Call, answer: Answer) -> None:
        if call["method"] in methods and call["params"][:1] in ([], ["latest"]) and not lies:
            lies.append(call)
            if isinstance(answer["result"], str):
                answer["result"] = hex(10**9)
            else:
                answer["result"]["number"] = hex(10**9)

    proxy.lie = lie
    return lies


def test_a_lie_about_the_head_silences_no_stream_that_begins_then(emitting: Emitter) -> None:
    async def story() -> None:
        with proxied(emitting.node.url) as proxy:
            async with emitting.client(proxy.url, heard=False) as client:
                streams_of(client).poll = 0.01
                async with client.events(Deposited) as first:
                    lies = false_head(proxy, "eth_blockNumber")
                    await client.chain.rpc.call("eth_blockNumber")
                    assert lies
                    async with client.events(Deposited) as second:
                        await asyncio.to_thread(emitting.deposits, 1)
                        assert (await anext(first)).amount == 1
                        assert (await anext(second)).amount == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_a_lie_about_the_head_does_not_make_the_first_stream_begin_there(emitting: Emitter) -> None:
    async def story() -> None:
        with proxied(emitting.node.url) as proxy:
            async with emitting.client(proxy.url, heard=False) as client:
                lies = false_head(proxy, "eth_blockNumber", "eth_getBlockByNumber")
                async with client.events(Deposited) as stream:
                    assert lies
                    await asyncio.to_thread(emitting.deposits, 1)
                    assert (await anext(stream)).amount == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_a_chain_that_goes_back_below_its_finality_ends_all_streams(emitting: Emitter) -> None:
    async def story() -> None:
        async with emitting.client(heard=False) as client:
            streams_of(client).poll = 0.01
            snapshot = emitting.node.rpc("evm_snapshot")
            emitting.node.rpc("anvil_mine", "0x50")
            async with client.events() as stream:
                waiting = asyncio.ensure_future(anext(stream))
                emitting.emit("Vault", "Deposited", SOMEBODY, 1)
                await waiting
                emitting.node.rpc("evm_revert", snapshot)
                emitting.node.rpc("anvil_mine", "0x60")
                with pytest.raises(FinalityBroken):
                    await exhausted(stream)
            assert nobody_watches(streams_of(client))

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_a_node_that_ends_and_is_started_again_is_waited_for(tmp_path: Path) -> None:
    async def story(own: Emitter) -> list[int]:
        async with (
            AsyncClient(own.network(ws_urls=(own.ws_url,)), journal=":memory:") as client,
            client.events(Deposited) as stream,
            client.events(Deposited, from_block=0) as past,
        ):
            own.emit("Vault", "Deposited", SOMEBODY, 1)
            found = [await anext(stream)]
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(own.node.stop)
            await asyncio.to_thread(own.node.start)
            await asyncio.to_thread(own.emit, "Vault", "Deposited", SOMEBODY, 2)
            found.append(await waiting)
            assert amounts(found) == [1, 2]
            return amounts([await anext(past), await anext(past)])

    with emitter("--state", str(tmp_path / "state.json")) as own:
        assert asyncio.run(asyncio.wait_for(story(own), PATIENCE)) == [1, 2]


# --- logs


def test_a_log_that_is_no_event_of_ours_is_passed_over_and_what_is_malformed_is_reported(
    emitting: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    topic = interface("Nexus").events["TaskPublished"].topic

    async def story() -> list[ProtocolEvent]:
        async with emitting.client(heard=False) as client, client.events() as stream:
            emitting.emit_raw("Nexus", "0x" + "ab" * 32)  # no event
            emitting.emit_raw("Vault", topic, "00" * 64)  # not of that contract
            emitting.emit_raw("Nexus", topic, "ff" * 32)  # too short, and no address
            emitting.emit("Nexus", "TaskStatusChanged", SOMEBODY, 99)  # no status
            emitting.emit("Nexus", "TaskStatusChanged", SOMEBODY, 5)
            return [await anext(stream)]

    with caplog.at_level(logging.WARNING, logger="ogpu.streams"):
        (event,) = asyncio.run(asyncio.wait_for(story(), PATIENCE))
    assert isinstance(event, TaskStatusChanged)
    assert event.status is TaskStatus.FINALIZED
    assert sorted(record.getMessage().split(" ")[3] for record in caplog.records) == [
        "TaskPublished",
        "TaskStatusChanged",
    ]


def test_an_item_that_says_nothing_of_itself_is_nobody_s_and_stops_nothing(emitting: Emitter) -> None:
    async def story() -> list[ProtocolEvent]:
        async with (
            emitting.client(heard=False) as client,
            client.events(provider=SOMEBODY) as stream,
        ):
            emitting.emit("Nexus", "ResponseSubmitted", "0x" + "01" * 20, "0x" + "02" * 20)
            emitting.emit("Vault", "Deposited", SOMEBODY, 1)
            return [await anext(stream)]

    assert not isinstance(asyncio.run(asyncio.wait_for(story(), PATIENCE))[0], ResponseSubmitted)


def test_an_interrupted_wait_loses_nothing_also_while_it_is_asked_whose_items_are(emitting: Emitter) -> None:
    first = emitting.node.head() + 1
    emitting.emit("Nexus", "ResponseSubmitted", "0x" + "03" * 20, "0x" + "04" * 20)
    emitting.emit("Vault", "Deposited", SOMEBODY, 1)
    emitting.node.mine(100)  # so that it is read by itself, and not of the feed

    async def story() -> ProtocolEvent:
        async with (
            emitting.client(heard=False) as client,
            client.events(provider=SOMEBODY, from_block=first) as stream,
        ):
            waiting = asyncio.create_task(anext(stream))
            while streams_of(client).facts._reader is None:
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            emitting.emit("Vault", "Deposited", SOMEBODY, 2)
            return await anext(stream)

    event = asyncio.run(asyncio.wait_for(story(), PATIENCE))
    assert isinstance(event, Deposited)
    assert event.amount == 1


# --- watchers


def test_a_slow_watcher_loses_nothing_and_keeps_nobody_up() -> None:
    """Far more happens than is kept for it, and what it was shown is dropped meanwhile."""

    async def story(own: Emitter) -> None:
        async with (
            own.client() as client,
            client.events(Deposited) as slow,
            client.events(Deposited) as quick,
        ):
            told: list[Deposited] = []
            reading = asyncio.create_task(some(quick, 7, told))
            await asyncio.to_thread(own.deposits, 1, 2)
            shown = await some(slow, 2)
            await asyncio.to_thread(own.deposits, 3)
            while len(told) < 3:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(own.reorganise, 2)
            for amount in (4, 5):
                await asyncio.to_thread(own.node.mine, 300)
                await asyncio.to_thread(own.deposits, amount)
            there = [(event.amount, event.removed) for event in await reading]
            feed = streams_of(client)._feed
            assert feed is not None
            assert feed._first > 0  # what the slow one wants next is kept no more
            rest = [(event.amount, event.removed) for event in await some(slow, 3)]
            # The third event came and went while the slow one did not look: it was never given.
            assert there == [*((1, False), (2, False), (3, False), (3, True), (2, True)), *rest[1:]]
            assert amounts(shown) == [1, 2]
            assert rest == [(2, True), (4, False), (5, False)]

    with emitter() as own:
        asyncio.run(asyncio.wait_for(story(own), 2 * PATIENCE))


async def requests_of(emitting: Emitter, watchers: int) -> tuple[int, int]:
    """The HTTP requests that so many watchers make for ten blocks, and how many items are read."""
    with proxied(emitting.node.url) as proxy:
        async with emitting.client(proxy.url) as client:
            streams_of(client).poll = 3600.0  # it looks when it hears of a block, and only then
            others = [f"0x{number:040x}" for number in range(1, watchers + 1)]
            watching = [client.events(provider=[SOMEBODY, each]) for each in others]
            for stream in watching:
                await stream.__aenter__()
            for number in range(5):
                response = f"0x{0xA0000 + 0x1000 * watchers + number:040x}"
                emitting.emit("Nexus", "ResponseSubmitted", response, SOMEBODY)
                emitting.emit("Vault", "Deposited", SOMEBODY, number)
                found = [await anext(stream) for stream in watching]
                assert amounts(found) == [number] * watchers
            for stream in watching:
                await stream.aclose()
            return proxy.requests, proxy.methods["eth_call"]


def test_a_hundred_watchers_make_as_many_requests_as_one(emitting: Emitter) -> None:
    one, hundred = (asyncio.run(requests_of(emitting, count)) for count in (1, 100))
    assert one[1] == hundred[1] == 5  # one read of each response, of which no event says whose it is
    most = 10 + 10 * 5  # to begin, and for ten blocks, of which two may be seen at one look or at two
    assert one[0] <= most
    assert hundred[0] <= most
