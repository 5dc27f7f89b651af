"""What a reorganisation takes back is told, latest first, before what replaces it; all of it, and once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from eth_abi.abi import encode
from tests.support.emitting import CONTRACTS, SOMEBODY, Emitter, emitter
from tests.support.watching import PATIENCE, Ledger, amounts, nobody_watches, streams_of

from ogpu.events import Deposited, ProtocolEvent, ResponseSubmitted
from ogpu.rpc.codec import interface
from ogpu.streams.stream import AsyncEventStream

LAST = 999_999  # the amount of what ends a story
SEEDS = [int(os.environ["OGPU_SEED"])] if "OGPU_SEED" in os.environ else [1, 2, 3]


@pytest.fixture(scope="module")
def emitting() -> Iterator[Emitter]:
    """A node whose contracts emit what a test says."""
    with emitter() as found:
        found.node.mine(5)
        yield found


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
    emitting: Emitter,
) -> None:
    async def story() -> None:
        async with emitting.client() as client, client.events(Deposited) as stream:
            await asyncio.to_thread(emitting.deposits, 1, 2, 3, 4)
            before = await some(stream, 4)
            await asyncio.to_thread(emitting.reorganise, 3)
            await asyncio.to_thread(emitting.deposits, 5)
            after = await some(stream, 4)
        assert amounts(before) == [1, 2, 3, 4]
        told = [(event.amount, event.removed) for event in after]
        assert told == [(4, True), (3, True), (2, True), (5, False)]
        assert [event.place for event in after[:3]] == [event.place for event in reversed(before[1:])]

    asyncio.run(story())


def test_what_was_never_given_is_not_taken_back(emitting: Emitter) -> None:
    """A watcher that begins after an event is told nothing when that one goes, but what replaces it."""

    async def story() -> None:
        async with emitting.client() as client:
            await asyncio.to_thread(emitting.deposits, 1, 2)
            async with client.events(Deposited) as stream:
                await asyncio.to_thread(emitting.reorganise, 2)
                await asyncio.to_thread(emitting.deposits, 3)
                (event,) = await some(stream, 1)
                assert (event.amount, event.removed) == (3, False)

    asyncio.run(story())


def test_a_transaction_that_is_mined_again_is_removed_and_given_again_with_its_new_place(
    emitting: Emitter,
) -> None:
    async def story() -> None:
        async with emitting.client() as client, client.events(Deposited) as stream:
            await asyncio.to_thread(emitting.deposits, 7)
            (first,) = await some(stream, 1)
            raw = emitting.node.rpc("eth_getRawTransactionByHash", first.place.transaction_hash)
            await asyncio.to_thread(emitting.reorganise, 1, raw)
            removed, again = await some(stream, 2)
            assert (removed.removed, removed.place) == (True, first.place)
            assert (again.amount, again.removed) == (7, False)
            assert again.place.transaction_hash == first.place.transaction_hash
            assert again.place.block_hash != first.place.block_hash

    asyncio.run(story())


def test_what_is_mined_into_a_block_that_was_there_before_is_given(emitting: Emitter) -> None:
    """A watcher begins; then a transaction gets into a block that replaces one from before that."""

    async def story() -> None:
        async with emitting.client() as client:
            await asyncio.to_thread(emitting.deposits, 1, 2, 3)
            async with client.events(Deposited) as stream:
                topic = interface("Vault").events["Deposited"].topic
                call = {
                    "from": emitting.node.sender,
                    "to": CONTRACTS["VAULT"],
                    "data": topic + encode(["address", "uint256"], [SOMEBODY, 4]).hex(),
                    "gas": hex(100_000),
                }
                await asyncio.to_thread(emitting.node.rpc, "anvil_reorg", 3, [[call, 0]])
                await asyncio.to_thread(emitting.deposits, 5)
                assert amounts(await some(stream, 2)) == [4, 5]

    asyncio.run(story())


def test_the_response_that_has_a_dropped_one_s_address_is_asked_whose_it_is(emitting: Emitter) -> None:
    """Addresses come from counters, so another provider's response may have the one of a dropped one."""
    response, task, other = "0x" + "0a" * 20, "0x" + "0b" * 20, "0x" + "0c" * 20

    def answer(provider: str) -> None:
        """Let the response be this provider's: its code copies the answer from behind itself."""
        params = encode(["(address,address,string,uint256)"], [(task, provider, "", 1)])
        code = f"61{len(params):04x}600e60003961{len(params):04x}6000f3"
        emitting.node.rpc("anvil_setCode", response, f"0x{code}{params.hex()}")

    async def story() -> None:
        async with emitting.client() as client, client.events(provider=SOMEBODY) as stream:
            await asyncio.to_thread(answer, SOMEBODY)
            await asyncio.to_thread(emitting.emit, "Nexus", "ResponseSubmitted", response, task)
            async with asyncio.timeout(PATIENCE):
                first = await anext(stream)
                await asyncio.to_thread(answer, other)
                await asyncio.to_thread(emitting.reorganise, 1)
                await asyncio.to_thread(answer, other)
                await asyncio.to_thread(emitting.emit, "Nexus", "ResponseSubmitted", response, task)
                await asyncio.to_thread(emitting.deposits, 1)
                removed, last = await anext(stream), await anext(stream)
        assert isinstance(first, ResponseSubmitted)
        assert (removed.place, removed.removed) == (first.place, True)
        assert isinstance(last, Deposited)

    asyncio.run(story())


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_every_watcher_ends_with_the_chain_s_events(seed: int) -> None:
    """Events and reorganisations at random, for watchers that are quick, slow, late, and choosy."""
    print(f"OGPU_SEED={seed}")
    chance = random.Random(seed)

    async def story(own: Emitter) -> list[Ledger]:
        start = own.node.head() + 1
        async with own.client() as client:
            quick, slow = client.events(), client.events(from_block=start)
            choosy, late = client.events(provider=SOMEBODY), client.events(from_block=start)
            for stream in (quick, slow, choosy):
                await stream.__aenter__()
            reading = [asyncio.create_task(until_last(stream, Ledger())) for stream in (quick, choosy)]
            for step in range(14):
                if step == 7:  # who begins at the start now has to read the chain by itself
                    await asyncio.to_thread(own.node.mine, 100)
                    reading.append(asyncio.create_task(until_last(late, Ledger())))
                happening = chance.sample(range(1, LAST), chance.randint(1, 3))
                await asyncio.to_thread(own.deposits, *happening)
                if (blocks := own.node.head() - start) > 1 and chance.random() < 0.6:
                    await asyncio.to_thread(own.reorganise, chance.randint(1, min(16, blocks)))
            await asyncio.to_thread(own.deposits, LAST)
            reading.append(asyncio.create_task(until_last(slow, Ledger())))
            ledgers = await asyncio.gather(*reading)
            for stream in (quick, slow, choosy, late):
                await stream.aclose()
            assert nobody_watches(streams_of(client))
            return ledgers

    with emitter() as own:
        ledgers = asyncio.run(story(own))
        assert ledgers[0].removed
        assert [ledger.keys for ledger in ledgers] == [own.logged()] * 4
