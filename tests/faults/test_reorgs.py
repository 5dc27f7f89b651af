"""Hazards of reorganisations: what they drop is executed again, once, and what is told is on the chain."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support.calls import Threads
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.localnet import wait_until
from tests.support.mining import Miner
from tests.support.stage import Case

from ogpu import AsyncClient, Client
from ogpu.errors import ForeignNonce
from ogpu.tx.state import Policy

DEEPEST = 16  # which a transaction is followed to when nobody says otherwise
PATIENCE = 60.0  # seconds
BASE = os.environ.get("OGPU_SEED") or secrets.token_hex(4)


@pytest.fixture
def where(tmp_path: Path) -> str:
    """An empty journal."""
    return str(tmp_path / "journal.sqlite3")


@pytest.fixture
def case(slow: Case) -> Case:
    """A fresh account on a network that mines nothing by itself."""
    return slow


@pytest.fixture
def miner(case: Case) -> Iterator[Miner]:
    """Mines whatever is sent."""
    with Miner(case) as running:
        yield running


def same(miner: Miner, where: str, keys: list[str]) -> bool:
    """Whether the chain has each key, and the journal has the blocks in which it has them."""
    blocks = {key: found[0].block_hash for key, found in miner.found().executions.items()}
    told = {
        row["key"]: (row["outcome"] or {}).get("receipt", {}).get("block_hash")
        for row in journal_rows(where).intents
    }
    return sorted(blocks) == sorted(keys) and blocks == told


def check(case: Case, miner: Miner, where: str, keys: list[str], addresses: list[str]) -> None:
    """Once all is there again: it is there once, and under the addresses that were told."""
    wait_until(lambda: same(miner, where, keys), PATIENCE, "all of it on chain and in the journal")
    found, rows = case.check(keys), journal_rows(where)
    assert not found.waiting
    assert_journal_equals_chain(rows, found)
    assert rows.states() == dict.fromkeys(keys, "done")
    assert [found.executions[key][0].tasks[0] for key in keys] == [address.lower() for address in addresses]


def block_of(client: Client, key: str) -> tuple[int, str]:
    """Number and hash of the block of a key's transaction, as the client knows it."""
    receipt = (client.intent(key).outcome or {})["receipt"]
    return receipt["block_number"], receipt["block_hash"]


def publish(client: Client, case: Case, keys: list[str]) -> list[str]:
    """Publish by these keys, one after the other, so that each has a block of its own; the addresses."""
    return [client.publish_task(case.task(key), idempotency_key=key) for key in keys]


@pytest.mark.parametrize("depth", range(1, DEEPEST + 1))
def test_what_was_dropped_is_there_again_and_a_call_right_after_it_takes_no_nonce_of_it(
    case: Case, miner: Miner, where: str, depth: int
) -> None:
    keys = [f"key {number}" for number in range(depth + 1)]
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=where) as client,
    ):
        publish(client, case, keys)
        sent = set(proxy.raw_sent)
        assert miner.reorganize(depth)
        publish(client, case, ["after"])
        wait_until(lambda: same(miner, where, [*keys, "after"]), PATIENCE, "what was dropped")
        assert len(set(proxy.raw_sent) - sent) == 1  # the others' bytes again, and nothing else
        addresses = publish(client, case, [*keys, "after"])
    check(case, miner, where, [*keys, "after"], addresses)


def test_while_it_is_not_known_what_was_dropped_no_call_takes_a_nonce_of_it(
    case: Case, miner: Miner, where: str
) -> None:
    """The question whether its block is still there hangs."""
    over = threading.Event()
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=where) as client,
    ):
        publish(client, case, ["first"])
        number = hex(block_of(client, "first")[0])

        def hold(method: str) -> None:
            if method == "eth_getBlockByNumber" and proxy.calls[-1]["params"][:1] == [number]:
                over.wait(PATIENCE)

        proxy.hold = hold
        assert miner.reorganize(1) == ["first"]
        call = Threads(partial(publish, client, case, ["second"]))
        wait_until(lambda: "second" in journal_rows(where).states(), PATIENCE, "the second call")
        over.set()
        call.results()
        addresses = publish(client, case, ["first", "second"])
    check(case, miner, where, ["first", "second"], addresses)


@pytest.mark.parametrize("depth", [1, DEEPEST])
def test_what_was_dropped_is_there_again_though_nobody_calls(
    case: Case, miner: Miner, where: str, depth: int
) -> None:
    keys = [f"key {number}" for number in range(DEEPEST)]
    with Client(case.through(), private_key=case.key, journal=where) as client:
        publish(client, case, keys)
        assert miner.reorganize(depth)
        wait_until(lambda: same(miner, where, keys), PATIENCE, "what was dropped")
        addresses = publish(client, case, keys)
    check(case, miner, where, keys, addresses)


def test_what_was_dropped_while_no_client_was_open_is_sent_again_by_the_next_one(
    case: Case, miner: Miner, where: str
) -> None:
    keys = [f"key {number}" for number in range(6)]

    async def opened() -> None:
        async with AsyncClient(case.through(), private_key=case.key, journal=where):
            await asyncio.to_thread(
                wait_until, lambda: same(miner, where, keys), PATIENCE, "what was dropped"
            )

    with Client(case.through(), private_key=case.key, journal=where) as client:
        publish(client, case, keys)
    assert miner.reorganize(4)
    asyncio.run(opened())
    lost = miner.reorganize(3)
    with Client(case.through(), private_key=case.key, journal=where) as client:
        assert sorted(intent.key for intent in client.recover()) == lost
    assert miner.keys() == keys
    assert miner.reorganize(2)
    with Client(case.through(), private_key=case.key, journal=where) as client:
        client.intents()  # its first use opens it
        wait_until(lambda: same(miner, where, keys), PATIENCE, "what was dropped")
        addresses = publish(client, case, keys)
    check(case, miner, where, keys, addresses)


def test_what_is_mined_in_other_blocks_is_not_sent_again_and_its_receipt_is_of_its_new_block(
    case: Case, miner: Miner, where: str
) -> None:
    keys = [f"key {number}" for number in range(4)]
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=where) as client,
    ):
        publish(client, case, keys)
        before, sent = miner.found().executions, list(proxy.raw_sent)
        depth = case.block_number() - before["key 0"][0].block
        assert not miner.reorganize(depth, sent[-3:])  # all in one block
        now = miner.found().executions
        assert all(now[key][0].hash == before[key][0].hash for key in keys)
        assert now["key 3"][0].block_hash != before["key 3"][0].block_hash
        wait_until(lambda: same(miner, where, keys), PATIENCE, "the new blocks in the journal")
        assert [block_of(client, key)[0] for key in keys] == [now[key][0].block for key in keys]
        addresses = publish(client, case, keys)
        assert len(set(proxy.raw_sent)) == len(keys)
    check(case, miner, where, keys, addresses)


def test_a_call_returns_only_when_its_transaction_is_as_deep_as_was_asked_for(
    case: Case, miner: Miner, where: str
) -> None:
    policy = Policy(confirmations=4)
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=where, policy=policy) as client,
    ):
        call = Threads(partial(publish, client, case, ["key"]))
        wait_until(miner.keys, PATIENCE, "the transaction")
        (mined,) = miner.found().executions["key"]
        while case.block_number() < mined.block + 3:
            proxy.methods.clear()
            wait_until(lambda: proxy.methods["eth_getTransactionReceipt"] > 2, PATIENCE, "a look")
            assert call.running
            case.mine()
        (addresses,) = call.results()
    check(case, miner, where, ["key"], addresses)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_is_dropped_before_it_is_deep_enough_is_waited_for_anew(
    case: Case, miner: Miner, where: str, depth: int
) -> None:
    policy = Policy(confirmations=4)
    with Client(case.through(), private_key=case.key, journal=where, policy=policy) as client:
        call = Threads(partial(publish, client, case, ["key"]))
        wait_until(miner.keys, PATIENCE, "the transaction")
        case.mine(depth - 1)
        assert miner.reorganize(depth) == ["key"]
        wait_until(miner.keys, PATIENCE, "the transaction again")
        assert call.running
        case.mine(3)
        (addresses,) = call.results()
        assert block_of(client, "key")[1] == miner.found().executions["key"][0].block_hash
    check(case, miner, where, ["key"], addresses)


def test_what_is_final_is_never_sent_again(case: Case, miner: Miner, where: str) -> None:
    policy = Policy(finality=3)
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, journal=where, policy=policy) as client,
    ):
        (address,) = publish(client, case, ["old"])
        case.mine(3)
        wait_until(lambda: journal_rows(where).intents[0]["final"], PATIENCE, "finality")
        assert miner.reorganize(case.block_number() - case.since_block) == ["old"]
        publish(client, case, ["new"])
        assert publish(client, case, ["old"]) == [address]
        assert client.recover() == []
        assert proxy.raw_sent.count(proxy.raw_sent[0]) == 1
    case.check(["new"], ["old"])


def test_what_was_done_and_then_lost_its_nonce_to_another_is_not_called_done(
    case: Case, miner: Miner, where: str
) -> None:
    """The blocks that replace ours hold a transaction from elsewhere at our nonce."""
    with Client(case.through(), private_key=case.key, journal=where) as client:
        publish(client, case, ["lost"])
        case.network.rpc("anvil_impersonateAccount", case.sender)
        (mined,) = miner.found().executions["lost"]
        transfer = {"from": case.sender, "to": case.sender, "nonce": hex(mined.nonce), "gas": hex(21_000)}
        assert miner.reorganize(case.block_number() - mined.block + 1, [transfer]) == ["lost"]
        (stranger,) = miner.found().mined
        wait_until(lambda: journal_rows(where).states() == {"lost": "foreign"}, PATIENCE, "the state")
        with pytest.raises(ForeignNonce) as caught:
            publish(client, case, ["lost"])
        assert caught.value.facts["hash"] == stranger.hash
        publish(client, case, ["next"])
    assert_journal_equals_chain(journal_rows(where), case.check(["next"], ["lost"]), foreign=[stranger.hash])


def test_reorganisations_at_random_while_threads_publish(case: Case, miner: Miner, where: str) -> None:
    print(f"OGPU_SEED={BASE}")
    dice = random.Random(BASE)
    keys = [f"key {number}" for number in range(90)]

    def more_than(count: int) -> bool:
        there = len(miner.keys())
        return there == len(keys) or there > count

    with Client(case.through(), private_key=case.key, journal=where) as client:
        calls = Threads(*(partial(publish, client, case, keys[start::6]) for start in range(6)))
        for _ in range(8):
            wait_until(partial(more_than, len(miner.keys()) + 4), PATIENCE, "more")
            depth = min(dice.randint(1, DEEPEST), case.block_number() - case.since_block)
            print(f"depth {depth}: {len(miner.reorganize(depth))} dropped")
        calls.results()
        wait_until(lambda: same(miner, where, keys), PATIENCE, "all of it")
        addresses = publish(client, case, keys)
    check(case, miner, where, keys, addresses)
