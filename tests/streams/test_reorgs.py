"""What a reorganisation takes back is told, latest first, before what replaces it; all of it, and once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import through
from tests.support.watching import (
    PATIENCE,
    Ledger,
    amounts,
    by_web3,
    deposit,
    head,
    keys_of,
    nobody_watches,
    streams_of,
)

from ogpu import AsyncClient
from ogpu.events import Deposited, ProtocolEvent
from ogpu.streams.stream import AsyncEventStream

LAST = 999_999  # the amount of what ends a story


async def happens(network: RunningNetwork, *wei: int) -> None:
    """Deposits, each in a block of its own."""
    for amount in wei:
        await asyncio.to_thread(deposit, network, amount)


async def reorganised(network: RunningNetwork, depth: int) -> None:
    """Empty blocks instead of the last ones."""
    await asyncio.to_thread(network.rpc, "anvil_reorg", depth, [])


async def until_last(stream: AsyncIterator[ProtocolEvent], ledger: Ledger) -> Ledger:
    """Read on until the story's end."""
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            ledger.take(event)
            if isinstance(event, Deposited) and event.amount == LAST and not event.removed:
                return ledger
    raise AssertionError("the stream ended")


async def some(stream: AsyncEventStream[Deposited], count: int) -> list[Deposited]:
    """The next events."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(stream) for _ in range(count)]


def test_dropped_events_come_again_as_removed_and_in_reverse_and_then_what_replaces_them(
    bare: RunningNetwork,
) -> None:
    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client, client.events(Deposited) as stream:
            await happens(bare, 1, 2, 3, 4)
            before = await some(stream, 4)
            await reorganised(bare, 3)
            await happens(bare, 5)
            after = await some(stream, 4)
        assert amounts(before) == [1, 2, 3, 4]
        assert [(event.amount, event.removed) for event in after] == [
            (4, True),
            (3, True),
            (2, True),
            (5, False),
        ]
        assert [event.place for event in after[:3]] == [event.place for event in reversed(before[1:])]

    asyncio.run(story())


def test_what_was_never_given_is_not_taken_back(bare: RunningNetwork) -> None:
    """A watcher that begins after an event is told nothing when that one goes, but what replaces it."""

    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client:
            await happens(bare, 1, 2)
            async with client.events(Deposited) as stream:
                await reorganised(bare, 2)
                await happens(bare, 3)
                (event,) = await some(stream, 1)
                assert (event.amount, event.removed) == (3, False)

    asyncio.run(story())


def test_a_transaction_that_is_mined_again_is_removed_and_given_again_with_its_new_place(
    bare: RunningNetwork,
) -> None:
    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client, client.events(Deposited) as stream:
            await client.vault.deposit(7, role="client")
            (first,) = await some(stream, 1)
            raw = bare.rpc("eth_getRawTransactionByHash", first.place.transaction_hash)
            await asyncio.to_thread(bare.rpc, "anvil_reorg", 1, [[raw, 0]])
            removed, again = await some(stream, 2)
            assert (removed.removed, removed.place) == (True, first.place)
            assert (again.amount, again.removed) == (7, False)
            assert again.place.block_hash != first.place.block_hash

    asyncio.run(story())


@pytest.mark.parametrize("seed", [int(os.environ.get("OGPU_SEED", 0)) or each for each in (1, 2)])
def test_whatever_happens_every_watcher_ends_with_the_chain_s_events(bare: RunningNetwork, seed: int) -> None:
    """Deposits and reorganisations at random, for watchers that are quick, slow, late, and choosy."""
    print(f"OGPU_SEED={seed}")
    chance = random.Random(seed)
    start = head(bare) + 1
    await_all: list[Sequence[tuple[str, int]]] = []

    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client:
            quick, slow = client.events(), client.events(from_block=start)
            mine = client.events(provider=bare.address())
            late = client.events(from_block=start)
            for stream in (quick, slow, mine):
                await stream.__aenter__()
            reading = [asyncio.create_task(until_last(stream, Ledger())) for stream in (quick, mine)]
            for step in range(14):
                if step == 7:  # who begins at the start now has to read the chain by itself
                    await asyncio.to_thread(bare.rpc, "anvil_mine", "0x64")
                    reading.append(asyncio.create_task(until_last(late, Ledger())))
                await happens(bare, *chance.sample(range(1, LAST), chance.randint(1, 3)))
                if (blocks := head(bare) - start) > 1 and chance.random() < 0.6:
                    await reorganised(bare, chance.randint(1, min(16, blocks)))
            await happens(bare, LAST)
            reading.append(asyncio.create_task(until_last(slow, Ledger())))
            ledgers = await asyncio.gather(*reading)
            await_all.extend(ledger.keys for ledger in ledgers)
            assert ledgers[0].removed
            for stream in (quick, slow, mine, late):
                await stream.aclose()
            assert nobody_watches(streams_of(client))

    asyncio.run(story())
    there = keys_of(by_web3(bare, start))
    assert there
    assert await_all == [there] * 4
