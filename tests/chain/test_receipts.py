"""How deep in the chain a call is when it returns and when it is final, and what its receipt says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.calls import MENDED as KEY
from tests.support.calls import (
    in_pool,
    observed,
    on_its_way,
    until,
)
from tests.support.market import core_of
from tests.support.stage import COIN, Case

from ogpu import Client
from ogpu.tx.journal import Intent, State
from ogpu.tx.state import Policy, Receipt


@pytest.fixture
def client(slow: Case) -> Iterator[Client]:
    with Client(slow.through(), private_key=slow.key) as opened:
        yield opened


# --- depth


def test_a_call_returns_when_its_block_has_the_confirmations_asked_for(slow: Case) -> None:
    policy = Policy(confirmations=3)
    with observed(slow, policy) as (client, proxy):
        caller = on_its_way(slow, client)
        for _ in range(2):
            slow.mine()
            seen = proxy.methods["eth_getTransactionReceipt"]
            until(lambda: proxy.methods["eth_getTransactionReceipt"] > seen + 2, what="looks")  # noqa: B023
            assert caller.running
            assert client.intent(KEY).state is State.PENDING
        slow.mine()
        caller.results()
    (mined,) = slow.check([KEY]).mined
    assert slow.block_number() - mined.block == 2


def test_an_intent_is_final_at_the_depth_asked_for_and_not_before(slow: Case) -> None:
    policy = Policy(finality=4)
    with observed(slow, policy) as (client, proxy):
        caller = on_its_way(slow, client)
        slow.mine()
        caller.results()
        look = hex(slow.block_number())
        slow.mine(3)
        proxy.calls.clear()
        until(lambda: _asked_for_block(proxy.calls, look), what="a look at its block")
        intent = client.intent(KEY)
        assert (intent.state, intent.final) == (State.DONE, False)
        slow.mine()
        until(lambda: client.intent(KEY).final, what="the end of it")
        follower = core_of(client).chain.transactions.follower
        until(lambda: follower.get(KEY) is None, what="it to be let go")
        assert client.intent(KEY).state is State.DONE


def _asked_for_block(calls: list[Any], block: str) -> bool:
    return any(
        call["method"] == "eth_getBlockByNumber" and call["params"][0] == block for call in list(calls)
    )


def test_what_a_reorganisation_drops_before_that_is_sent_again(slow: Case, client: Client) -> None:
    caller = on_its_way(slow, client)
    slow.mine()
    (task,) = caller.results()
    slow.reorganize(1)
    until(lambda: in_pool(slow), what="the second send")
    slow.mine()
    until(lambda: client.intent(KEY).state is State.DONE, what="the settling")
    (mined,) = slow.check([KEY]).mined
    receipt = receipt_of(client.intent(KEY))
    assert (receipt.hash, receipt.block_hash) == (mined.hash, mined.block_hash)
    assert client.publish_task(slow.task(KEY), idempotency_key=KEY) == client.get_task(mined.tasks[0]).address
    assert task


# --- receipts


def receipt_of(intent: Intent) -> Receipt:
    assert intent.outcome
    return Receipt(**intent.outcome["receipt"])


def test_a_receipt_is_what_the_chain_has(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        before = int(case.network.rpc("eth_getBalance", case.sender, "latest"), 16)
        receipt = client.vault.deposit(COIN)
        after = int(case.network.rpc("eth_getBalance", case.sender, "latest"), 16)
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
        published = receipt_of(client.intent(KEY))
    theirs = case.network.rpc("eth_getTransactionReceipt", receipt.hash)
    block = case.network.rpc("eth_getBlockByHash", receipt.block_hash, False)
    assert receipt.succeeded
    assert (receipt.block_number, receipt.block_hash) == (int(theirs["blockNumber"], 16), theirs["blockHash"])
    assert (receipt.gas_used, receipt.gas_price) == (
        int(theirs["gasUsed"], 16),
        int(theirs["effectiveGasPrice"], 16),
    )
    assert receipt.block_time == int(block["timestamp"], 16)
    assert before - after == COIN + receipt.gas_cost
    (deposited,) = receipt.events
    assert deposited.address == client.network.contract("VAULT")
    assert deposited.arguments["account"] == case.sender
    event = next(event for event in published.events if event.name == "TaskPublished")
    assert event.arguments["task"] == task
    assert event.address == client.network.contract("NEXUS")
