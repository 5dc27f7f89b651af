"""Hazards of following a chain: what is lost, told twice, of a dropped block, or never told to be wrong."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.support.anvil import CHAIN_ID, LOGGER, Anvil, anvil
from tests.support.proxy import Fault, proxied
from tests.support.reader import QUICK, Reader, caught_up, followed, read

from ogpu.errors import FinalityBroken, InvalidInput, NodeBehind, RPCUnreachable, WrongChain
from ogpu.rpc.fetching import MOST_LOGS
from ogpu.rpc.follow import Blocks, Cursor, Finalized, Step, follow
from ogpu.rpc.spans import MOST_BLOCKS
from ogpu.rpc.subscription import NewHeads
from ogpu.rpc.transport import RPC

SEED = int(os.environ.get("OGPU_SEED") or secrets.randbelow(1 << 32))
FAULTS = 8  # at random, while the chain changes
SLOW = 60.0  # seconds between two looks; a test that waits for one fails


@pytest.fixture(scope="module")
def shared() -> Iterator[Anvil]:
    """A node that the tests of this file share."""
    with anvil() as running:
        yield running


@pytest.fixture
def node(shared: Anvil) -> Iterator[Anvil]:
    """The same, wound back after the test."""
    snapshot = shared.rpc("evm_snapshot")
    yield shared
    shared.rpc("evm_revert", snapshot)


def test_history_and_what_comes_live_are_told_whole_and_once(node: Anvil) -> None:
    for count in (3, 0, 5):
        node.log(count)
    node.mine(200)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        await asyncio.to_thread(node.log, 2)
        return await caught_up(rpc, node, reader)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()
    assert reader.numbers() == [3, 2, 1, 5, 4, 3, 2, 1, 2, 1]
    assert reader.final == node.head() - 63


@pytest.mark.parametrize("depth", [1, 2, 16, 63])
def test_blocks_that_a_reorganisation_dropped_are_taken_back(node: Anvil, depth: int) -> None:
    for _ in range(70):  # anvil makes empty blocks anew as they were
        node.log()

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        await asyncio.to_thread(node.rpc, "anvil_reorg", depth, [])
        await asyncio.to_thread(node.mine)
        return await caught_up(rpc, node, reader)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()
    assert reader.numbers() == [1] * (70 - depth)
    assert reader.rollbacks == [depth]


def test_a_block_with_a_great_many_logs_after_one_with_few_is_read(node: Anvil) -> None:
    node.log()
    node.log(MOST_LOGS)  # both together are more than are taken at once
    node.log()

    async def story(rpc: RPC) -> Reader:
        async with asyncio.timeout(30):
            return await caught_up(rpc, node)

    assert followed(node.url, story).numbers() == [1, *range(MOST_LOGS, 0, -1), 1]


async def only_final(steps: AsyncIterator[Step], block: Cursor) -> None:
    """Read all that comes, which is at most that a block is final."""
    async for step in steps:
        assert step == Finalized(block)


@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "before it goes on"])
def test_a_reorganisation_below_the_finality_ends_it(node: Anvil, running: bool) -> None:
    node.log()
    node.log()
    node.mine(63)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        before = reader.cursors(64)
        steps = follow(rpc, [LOGGER], [] if running else before, poll=QUICK)
        if running:
            async for step in steps:
                if isinstance(step, Blocks) and step.blocks[-1].cursor == before[-1]:
                    break
        await asyncio.to_thread(node.rpc, "anvil_reorg", 64, [])
        with pytest.raises(FinalityBroken) as broken:
            await only_final(steps, before[0])
        facts = broken.value.facts
        assert (facts["number"], facts["hash"]) == (before[0].number, before[0].hash)
        assert (facts["depth"], facts["newest"], facts["finality"]) == (64, before[-1].number, 64)
        assert not broken.value.retryable
        return reader

    assert not followed(node.url, story).rollbacks


def test_a_chain_that_was_started_anew_is_not_taken_for_the_same(node: Anvil) -> None:
    node.mine(3)

    async def story(rpc: RPC) -> None:
        reader = await caught_up(rpc, node)
        others = [Cursor(number, "0x" + "42" * 32) for number in range(len(reader.blocks))]
        with pytest.raises(FinalityBroken):
            await anext(follow(rpc, [LOGGER], others, poll=QUICK))

    followed(node.url, story)


def test_all_that_was_followed_may_be_dropped_when_little_was(node: Anvil) -> None:
    node.mine(8)
    first = node.log()
    node.log()
    node.log()

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node, first=first)
        await asyncio.to_thread(node.rpc, "anvil_reorg", 4, [])
        await asyncio.to_thread(node.mine)
        return await caught_up(rpc, node, reader, first=first)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()[first:]
    assert reader.rollbacks == [3]


def test_a_chain_that_was_wound_back_is_taken_back_after_a_moment(node: Anvil) -> None:
    """A replica that lags tells the same; it is waited for before that."""
    snapshot = node.rpc("evm_snapshot")
    node.mine(3)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        await asyncio.to_thread(node.rpc, "evm_revert", snapshot)
        reader = await caught_up(rpc, node, reader)
        await asyncio.to_thread(node.log)
        return await caught_up(rpc, node, reader)

    reader = followed(node.url, story)
    assert reader.hashes == node.chain()
    assert reader.rollbacks == [3]


def test_a_replica_that_lags_takes_nothing_back(node: Anvil) -> None:
    node.mine(5)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        stale.order("*", Fault.STALE_HEAD, 3)
        await asyncio.to_thread(node.log, 3)
        return await caught_up(rpc, node, reader)

    with proxied(node.url) as stale:
        reader = followed(stale.url, story)
        stale.order("*", Fault.STALE_HEAD, 3)
        node.log(2)
        reader = followed(stale.url, lambda rpc: caught_up(rpc, node, reader))  # on from where it was
        assert stale.faults["*", Fault.STALE_HEAD] == 6
    assert not reader.rollbacks
    assert reader.numbers() == [3, 2, 1, 2, 1]


def test_a_node_that_is_far_behind_is_waited_for_and_not_taken_for_another_chain(node: Anvil) -> None:
    """As one that fetches the chain anew: its head is below what was final."""
    node.mine(80)

    async def story(rpc: RPC) -> Reader:
        reader = await caught_up(rpc, node)
        stale.stopped_at = 3
        stale.order("*", Fault.STALE_HEAD, 1 << 30)
        with pytest.raises(NodeBehind, match="The node is at block 3, and block") as caught:
            await anext(follow(rpc, [LOGGER], reader.cursors(64), poll=QUICK, patience=0.5))
        assert caught.value.facts == {"head": 3, "final": reader.final}
        looks = stale.requests
        steps = follow(rpc, [LOGGER], reader.cursors(64), poll=QUICK)
        going_on = asyncio.ensure_future(anext(steps))
        while stale.requests < looks + 8:
            await asyncio.sleep(QUICK)
        await asyncio.to_thread(node.log, 2)
        stale.calm()
        reader.take(await going_on)
        return await read(steps, reader, lambda: reader.final == node.head() - 63)

    with proxied(node.url) as stale:
        reader = followed(stale.url, story)
    assert not reader.rollbacks
    assert reader.numbers() == [2, 1]


def test_with_faults_and_reorganisations_at_random_nothing_is_lost_or_told_twice(node: Anvil) -> None:
    print(f"OGPU_SEED={SEED}")
    draw = random.Random(SEED)

    tips: list[str] = []

    def upheaval() -> None:
        while sum(proxy.faults.values()) < FAULTS:
            match draw.randrange(4):
                case 0:
                    node.mine(draw.randrange(1, 20))
                case 1 if node.head() > 20:
                    node.rpc("anvil_reorg", draw.randrange(1, 17), [])
                case _:
                    node.log(draw.randrange(1, 5))
        tips.append(node.block(node.log(3))["hash"])
        proxy.calm()
        node.mine()

    async def story(rpc: RPC) -> Reader:
        happening = asyncio.create_task(asyncio.to_thread(upheaval))
        steps, reader = follow(rpc, [LOGGER], poll=QUICK), Reader()
        await read(steps, reader, lambda: bool(tips) and tips[0] in reader.hashes[-3:-1])
        await happening
        return reader

    with proxied(node.url) as proxy:
        proxy.silence = 0.3
        proxy.rate(0.05, SEED)
        reader = followed(proxy.url, story, timeout=0.5)
    assert reader.hashes == node.chain()
    assert reader.logs == node.logs()


def test_a_node_that_ends_and_is_started_again_is_waited_for(tmp_path: Path) -> None:
    async def story(rpc: RPC) -> Reader:
        reader = Reader()
        async with aclosing(follow(rpc, [LOGGER], poll=QUICK)) as steps:
            while not reader.numbers():
                reader.take(await anext(steps))
            going_on = asyncio.ensure_future(anext(steps))
            await asyncio.to_thread(mine.stop)
            await asyncio.sleep(QUICK)
            mine.start()
            await asyncio.to_thread(mine.log, 2)
            reader.take(await going_on)
        return await caught_up(rpc, mine, reader)

    with anvil("--state", str(tmp_path / "state.json")) as mine:
        mine.log()
        reader = followed(mine.url, story)
        assert reader.numbers() == [1, 2, 1]
        assert reader.hashes == mine.chain()


def test_a_network_that_stays_away_ends_it_only_when_that_was_asked_for() -> None:
    async def story(rpc: RPC) -> None:
        with pytest.raises(RPCUnreachable):
            await anext(follow(rpc, [LOGGER], poll=QUICK, patience=0.5))
        endless = follow(rpc, [LOGGER], poll=QUICK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await anext(endless)

    followed("http://127.0.0.1:9", story)


def test_a_node_of_another_chain_ends_it_at_once(node: Anvil) -> None:
    async def main() -> None:
        rpc = RPC([node.url], CHAIN_ID + 1)
        try:
            with pytest.raises(WrongChain):
                await anext(follow(rpc, [LOGGER]))
        finally:
            await rpc.close()

    asyncio.run(main())


def test_known_blocks_with_a_gap_are_refused_before_anything_is_asked() -> None:
    async def story(rpc: RPC) -> None:
        known = [Cursor(4, "0x" + "44" * 32), Cursor(6, "0x" + "66" * 32)]
        with pytest.raises(InvalidInput, match="gap"):
            await anext(follow(rpc, [LOGGER], known))

    followed("http://127.0.0.1:9", story)


def test_it_ends_whenever_it_is_asked_to_and_leaves_nothing(node: Anvil) -> None:
    node.mine(100)
    draw = random.Random(SEED)

    async def story(rpc: RPC) -> None:
        await rpc.call("eth_chainId")
        before, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))

        async def whole() -> None:
            async with NewHeads([node.ws_url]) as hint:
                async for _ in follow(rpc, [LOGGER], hint=hint):
                    await asyncio.sleep(0)

        for _ in range(40):
            task = asyncio.create_task(whole())
            await asyncio.sleep(draw.random() * 0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 2)
        await asyncio.sleep(QUICK)
        assert asyncio.all_tasks() == before
        assert len(os.listdir("/proc/self/fd")) <= files + 4  # connections that are kept for the next request

    followed(node.url, story)


@pytest.fixture(scope="module")
def high() -> Iterator[Anvil]:
    """A node with more blocks than are asked for at once, twice."""
    with anvil() as running:
        running.mine(2 * MOST_BLOCKS + 100)
        yield running


def test_a_consumer_that_stops_reading_makes_it_read_one_range_ahead_and_no_more(high: Anvil) -> None:
    async def story(rpc: RPC) -> None:
        async with aclosing(follow(rpc, [LOGGER])) as steps:
            first = await anext(steps)
            assert isinstance(first, Blocks)
            two = 2 + 3 * len(first.blocks)  # with the head, also by its number; the second is twice as long
            while proxy.methods["eth_getBlockByNumber"] < two:
                await asyncio.sleep(QUICK)
            await asyncio.sleep(0.3)  # a third range would be asked for meanwhile
            assert proxy.methods["eth_getBlockByNumber"] == two

    with proxied(high.url) as proxy:
        followed(proxy.url, story)


def test_it_ends_while_it_reads_ahead(high: Anvil) -> None:
    async def story(rpc: RPC) -> None:
        await rpc.call("eth_chainId")
        before = asyncio.all_tasks()
        steps = follow(rpc, [LOGGER])
        await anext(steps)
        assert asyncio.all_tasks() > before  # it reads the next range
        await asyncio.wait_for(steps.aclose(), 2)
        assert asyncio.all_tasks() == before
        async for _ in follow(rpc, [LOGGER]):
            break
        gc.collect()
        while asyncio.all_tasks() > before:  # the loop ends what is left by `break`
            await asyncio.sleep(QUICK)
        await asyncio.sleep(QUICK)
        assert asyncio.all_tasks() == before

    followed(high.url, story)
