"""Budgets that hold under concurrency, fees as they were asked for, and caps that are never passed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import rlp
from eth_account import Account
from tests.support.calls import (
    MENDED,
    SEND,
    FailsAt,
    Threads,
    in_pool,
    inactivate_at_the_send,
    mined_once_replaced,
    new_source,
    on_its_way,
    replaced,
    until,
    waiting_for,
)
from tests.support.invariants import vault_balance
from tests.support.market import PRICE, set_policy, source_info
from tests.support.proxy import Fault, Proxy
from tests.support.stage import COIN, FUNDS, Case

from ogpu import AsyncClient, Client
from ogpu.errors import (
    BudgetExceeded,
    ContractMissing,
    ContractReverted,
    InsufficientFunds,
    InsufficientVaultBalance,
    InvalidExpiry,
    InvalidInput,
    NotEligible,
    SignerFailed,
    TransactionDropped,
    TransactionUndetermined,
)
from ogpu.tx.state import Cost, Policy
from ogpu.types import TaskInfo

GWEI = 10**9


@dataclass(frozen=True)
class Offer:
    """What a raw transaction offers, read without the library; in wei per gas."""

    nonce: int
    max_fee: int
    priority_fee: int
    gas: int


def offers(proxy: Proxy) -> list[Offer]:
    """Of what went through a proxy, each transaction once, in their order."""
    found = []
    for raw in dict.fromkeys(proxy.raw_sent):
        assert raw.startswith("0x02"), "not a transaction of EIP-1559"
        _, nonce, priority, most, gas, *_ = rlp.decode(bytes.fromhex(raw[4:]))
        found.append(Offer(*(int.from_bytes(field) for field in (nonce, most, priority, gas))))
    return found


def wallet(case: Case) -> int:
    return int(case.network.rpc("eth_getBalance", case.sender, "latest"), 16)


def wealth(case: Case) -> int:
    """All that the account has, in its wallet and in the Vault."""
    return wallet(case) + vault_balance(case.network, case.sender)


@contextlib.contextmanager
def observed(case: Case, **policy: Any) -> Iterator[tuple[Client, Proxy]]:
    """A client that sends by a policy, behind a proxy."""
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, policy=Policy(**policy)) as client,
    ):
        yield client, proxy


def cost_of(case: Case, payment: int = PRICE, **policy: Any) -> Cost:
    """What a task costs at most."""
    with Client(case.through(), private_key=case.key, journal=":memory:", policy=Policy(**policy)) as client:
        return client.estimate(case.task("estimate", payment))


# --- budgets


def test_a_call_over_the_budget_is_not_signed(case: Case) -> None:
    most = cost_of(case)
    with observed(case, max_spend=most.total - 1) as (client, proxy):
        with pytest.raises(BudgetExceeded, match=f"up to {most.total} wei") as caught:
            client.publish_task(case.task("a"))
        assert caught.value.facts == {
            "needed": most.total,
            "left": most.total - 1,
            "max_spend": most.total - 1,
        }
        assert not proxy.raw_sent
        assert client.intents() == []
    case.check([])


def test_a_call_that_takes_all_of_the_budget_is_sent(case: Case) -> None:
    with observed(case, max_spend=cost_of(case).total) as (client, _):
        client.publish_task(case.task("a"))
    case.check(["a"])


def test_concurrent_calls_share_the_budget(slow: Case) -> None:
    """What is on its way is reserved at its most, so of seven calls at once four and no more are sent."""
    most = cost_of(slow).total
    policy = Policy(max_spend=4 * most + most // 2)
    keys = [f"task {number}" for number in range(7)]

    async def publish() -> list[Any]:
        async with AsyncClient(slow.through(), private_key=slow.key, policy=policy) as client:
            calls = [asyncio.create_task(client.publish_task(slow.task(key))) for key in keys]
            while sum(call.done() for call in calls) < 3 or await asyncio.to_thread(in_pool, slow) < 4:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(slow.mine)
            return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(asyncio.wait_for(publish(), 60))
    done = [key for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    refused = [result for result in results if not isinstance(result, str)]
    assert (len(done), [type(error) for error in refused]) == (4, [BudgetExceeded] * 3)
    slow.check(done, [key for key in keys if key not in done])


def test_many_calls_never_spend_more_than_the_budget(case: Case) -> None:
    """Reservations are given back as blocks come, and others take them; the sum of what is spent holds."""
    most = cost_of(case).total
    budget = 12 * most
    before = wealth(case)
    keys = [f"task {number}" for number in range(40)]
    with observed(case, max_spend=budget) as (client, _):
        infos = [case.task(key) for key in keys]
        results = client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
    done = [key for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    case.check(done, [key for key in keys if key not in done])
    assert {type(result) for result in results} == {str, BudgetExceeded}
    paid = len(done) * PRICE
    assert len(done) >= 12
    assert paid < before - wealth(case) <= budget


def test_what_was_reserved_and_not_spent_is_given_back_once_it_is_mined(slow: Case) -> None:
    most = cost_of(slow, 1).total  # nearly all of it is gas, and less than half of that is used
    with observed(slow, max_spend=most * 19 // 10) as (client, _):
        threads = Threads(lambda: client.publish_task(slow.task("a", 1)))
        until(lambda: in_pool(slow), what="the send")
        with pytest.raises(BudgetExceeded) as caught:
            client.publish_task(slow.task("b", 1))
        assert caught.value.facts["left"] == most * 19 // 10 - most
        slow.mine()
        threads.results()
        threads.start(lambda: client.publish_task(slow.task("b", 1)))
        until(lambda: in_pool(slow), what="the send")
        slow.mine()
        threads.results()
    slow.check(["a", "b"])


@pytest.mark.parametrize("how", ["refused by the node", "would revert", "not signed", "reverted"])
def test_a_payment_that_was_not_made_is_given_back(case: Case, how: str) -> None:
    """After the failure there is room for one call that succeeds, and for no other."""
    payment = 100 * COIN
    most = cost_of(case, payment).total
    source = new_source(case)
    with observed(case, max_spend=most + COIN) as (client, proxy):
        if how == "refused by the node":
            proxy.order(SEND, Fault.REFUSED)
            with pytest.raises(InsufficientFunds):
                client.publish_task(case.task("failed", payment))
        elif how == "not signed":
            with pytest.raises(SignerFailed):
                client.publish_task(case.task("failed", payment), FailsAt(case.key, 1))
        elif how == "would revert":
            with pytest.raises(ContractReverted):
                client.vault.unbond(1)
        else:
            inactivate_at_the_send(case, proxy, source)
            with pytest.raises(ContractReverted):
                client.publish_task(replace(case.task("failed", payment), source=source))
        client.publish_task(case.task("a", payment))
        with pytest.raises(BudgetExceeded):
            client.publish_task(case.task("b", payment))
    assert {key: len(found) for key, found in case.found().executions.items()} == {"a": 1}


def test_a_call_that_joins_another_by_its_key_does_not_free_the_budget(slow: Case) -> None:
    most = cost_of(slow).total
    policy = Policy(max_spend=most * 3 // 2)

    async def publish() -> str:
        async with AsyncClient(slow.through(), private_key=slow.key, policy=policy) as client:
            info = slow.task("a")
            calls = [asyncio.create_task(client.publish_task(info, idempotency_key="a")) for _ in range(4)]
            while not await asyncio.to_thread(in_pool, slow) or waiting_for(client) < len(calls):
                await asyncio.sleep(0.02)
            with pytest.raises(BudgetExceeded):
                await client.publish_task(slow.task("b"))
            await asyncio.to_thread(slow.mine)
            (task,) = set(await asyncio.gather(*calls))
            return task

    asyncio.run(asyncio.wait_for(publish(), 60))
    slow.check(["a"], ["b"])


def test_what_another_client_has_settled_is_given_back(slow: Case) -> None:
    """Its cancellation is in the journal before the client that has reserved for the call sees a node."""
    with (
        observed(slow, max_spend=cost_of(slow).total * 3 // 2) as (client, proxy),
        Client(slow.through(), private_key=slow.key) as other,
    ):
        caller = on_its_way(slow, client)
        tx_hash = client.intent(MENDED).attempts[0].hash
        proxy.order("*", Fault.BAD_GATEWAY_BEFORE, 100_000)
        mined_once_replaced(slow, tx_hash, lambda: other.cancel(MENDED))
        proxy.calm()
        assert [type(error) for error in caller.outcomes()] == [TransactionDropped]
        slow.automine(True)
        client.publish_task(slow.task("a"))
    slow.check(["a"])


def test_deposits_count_against_the_budget(case: Case) -> None:
    with observed(case, max_spend=2 * COIN) as (client, _):
        client.vault.deposit(COIN)
        with pytest.raises(BudgetExceeded):
            client.vault.deposit(COIN + 1)
    case.check([f"deposit:{COIN}"])


def test_a_bump_over_the_budget_is_not_signed_and_the_first_offer_stands(slow: Case) -> None:
    most = cost_of(slow, 1).total
    with observed(slow, max_spend=most + most // 100) as (client, proxy):
        threads = Threads(lambda: client.publish_task(slow.task("a", 1), idempotency_key="a"))
        until(lambda: in_pool(slow), what="the send")
        with pytest.raises(BudgetExceeded):
            client.bump("a")
        slow.mine()
        threads.results()
        assert len(offers(proxy)) == 1
    slow.check(["a"])


def test_a_wallet_that_runs_out_leaves_no_nonce_gap(case: Case) -> None:
    """What is on its way already is set against the balance, so the node never sees what cannot be paid."""
    most = cost_of(case).gas_cost
    case.network.rpc("anvil_setBalance", case.sender, hex(most * 5 // 2))
    keys = [f"task {number}" for number in range(6)]
    with observed(case) as (client, proxy):
        infos = [case.task(key) for key in keys]
        results = client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
        assert len(set(proxy.raw_sent)) == sum(isinstance(result, str) for result in results)
    done = [key for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    assert {type(result) for result in results} == {str, InsufficientFunds}
    case.check(done, [key for key in keys if key not in done])


# --- what it would cost


@pytest.mark.parametrize(
    "policy", [{}, {"max_fee": 9 * GWEI, "priority_fee": 2 * GWEI}, {"fee_cap": 2 * GWEI}]
)
def test_an_estimate_is_what_is_then_signed_and_no_less_than_what_is_spent(
    case: Case, policy: dict[str, int]
) -> None:
    before = wealth(case)
    with observed(case, **policy) as (client, proxy):
        cost = client.estimate(case.task("a"))
        assert not proxy.raw_sent
        client.publish_task(case.task("a"))
        (offer,) = offers(proxy)
    assert (offer.gas, offer.max_fee, offer.priority_fee) == (cost.gas, cost.max_fee, cost.priority_fee)
    assert cost.gas_cost == offer.gas * offer.max_fee
    assert cost.payment == PRICE
    assert PRICE < before - wealth(case) <= cost.total


def test_an_estimate_of_a_source(case: Case) -> None:
    case.network.transact("Vault", "setWhitelist", case.sender, True, sender=case.network.admin())
    before = wealth(case)
    with observed(case) as (client, proxy):
        cost = client.estimate(source_info())
        client.publish_source(source_info())
        (offer,) = offers(proxy)
    assert (offer.gas, offer.max_fee, cost.payment) == (cost.gas, cost.max_fee, 0)
    assert 0 < before - wealth(case) <= cost.total == offer.gas * offer.max_fee


def test_an_estimate_raises_what_publishing_would(case: Case) -> None:
    with observed(case) as (client, _):
        for info, error in (
            (case.task("a", 2 * FUNDS), InsufficientVaultBalance),
            (replace(case.task("a"), expiryTime=1), InvalidExpiry),
            (replace(case.task("a"), source=case.sender), ContractMissing),
            (source_info(), NotEligible),
        ):
            with pytest.raises(error) as estimated:
                client.estimate(info)
            with pytest.raises(error) as published:
                client.publish_task(info) if isinstance(info, TaskInfo) else client.publish_source(info)
            without_the_clock = (re.sub(r"\d+ s ", "", str(told.value)) for told in (estimated, published))
            assert len(set(without_the_clock)) == 1
    case.check([])


# --- fees


def test_fees_are_as_asked_for(case: Case) -> None:
    with observed(case, max_fee=70 * GWEI, priority_fee=30 * GWEI) as (client, proxy):
        client.publish_task(case.task("a"))
        client.vault.deposit(COIN)
        assert {(offer.max_fee, offer.priority_fee) for offer in offers(proxy)} == {(70 * GWEI, 30 * GWEI)}


def test_a_priority_fee_over_the_max_fee_is_cut_to_it(case: Case) -> None:
    """Nodes refuse a transaction whose priority fee is over its max fee."""
    with observed(case, max_fee=7 * GWEI, priority_fee=30 * GWEI) as (client, proxy):
        client.publish_task(case.task("a"))
        (offer,) = offers(proxy)
    assert (offer.max_fee, offer.priority_fee) == (7 * GWEI, 7 * GWEI)


def test_without_wishes_there_is_room_for_a_rising_base_fee(case: Case) -> None:
    set_base_fee(case, 50 * GWEI)
    block = case.network.rpc("eth_getBlockByNumber", "latest", False)
    with observed(case) as (client, proxy):
        client.publish_task(case.task("a"))
        (offer,) = offers(proxy)
    assert offer.max_fee == 2 * int(block["baseFeePerGas"], 16) + offer.priority_fee
    assert offer.priority_fee == int(case.network.rpc("eth_maxPriorityFeePerGas"), 16)


def test_the_cap_holds_where_the_chain_asks_for_more(case: Case) -> None:
    set_base_fee(case, 50 * GWEI)
    with observed(case, fee_cap=60 * GWEI) as (client, proxy):
        client.publish_task(case.task("a"))
        (offer,) = offers(proxy)
    assert offer.max_fee == 60 * GWEI


def test_a_fee_spike_bumps_what_is_stuck(slow: Case) -> None:
    """The base fee rises over what was offered: the same call is offered for more at the same nonce."""
    with observed(slow, stuck_after=0.2) as (client, proxy):
        threads = Threads(lambda: client.publish_task(slow.task("a"), idempotency_key="a"))
        until(lambda: in_pool(slow), what="the send")
        (first,) = offers(proxy)
        set_base_fee(slow, 10 * first.max_fee)
        mine_until_done(slow, threads)
        found, sent = slow.check(["a"]), offers(proxy)
        (mined,) = found.mined
        intent = client.intent("a")
    assert {offer.nonce for offer in sent} == {first.nonce}
    assert len(sent) == len(intent.attempts) > 1
    assert_each_replaces_the_last(sent)
    assert mined.hash != intent.attempts[0].hash


def test_bumps_do_not_pass_the_cap(slow: Case) -> None:
    first = cost_of(slow).max_fee
    cap = first * 13 // 10
    with observed(slow, stuck_after=0.1, fee_cap=cap) as (client, proxy):
        threads = Threads(lambda: client.publish_task(slow.task("a"), idempotency_key="a"))
        until(lambda: len(offers(proxy)) == 3, what="two bumps of a tenth")
        with pytest.raises(InvalidInput, match="over the cap") as caught:
            client.bump("a")
        assert caught.value.facts["fee_cap"] == cap
        slow.mine()
        threads.results()
        sent = offers(proxy)
    assert [offer.max_fee <= cap for offer in sent] == [True] * 3
    assert_each_replaces_the_last(sent)
    slow.check(["a"])


def test_a_spike_over_the_cap_is_sat_out(slow: Case) -> None:
    """The fate stays open, nothing is offered over the cap, and it is mined once the spike is over."""
    cap = 2 * cost_of(slow).max_fee
    with observed(slow, stuck_after=0.1, fee_cap=cap, receipt_timeout=1.5) as (client, proxy):
        threads = Threads(lambda: client.publish_task(slow.task("a"), idempotency_key="a"))
        until(lambda: in_pool(slow), what="the send")
        set_base_fee(slow, 10 * cap)
        (outcome,) = threads.outcomes()
        assert isinstance(outcome, TransactionUndetermined)
        assert slow.found().mined == ()
        set_base_fee(slow, 1)
        set_policy(client, receipt_timeout=60)
        threads = Threads(lambda: client.publish_task(slow.task("a"), idempotency_key="a"))
        mine_until_done(slow, threads)
        sent = offers(proxy)
    assert max(offer.max_fee for offer in sent) <= cap
    slow.check(["a"])


def test_a_cancellation_does_not_pass_the_cap(slow: Case) -> None:
    """One that has to outbid is refused when the cap leaves no room, and the call stays as it is."""
    cap = cost_of(slow).max_fee
    with observed(slow, fee_cap=cap) as (client, proxy):
        threads = Threads(lambda: client.publish_task(slow.task("a"), idempotency_key="a"))
        until(lambda: in_pool(slow), what="the send")
        with pytest.raises(InvalidInput, match="over the cap"):
            client.cancel("a")
        slow.mine()
        threads.results()
        assert max(offer.max_fee for offer in offers(proxy)) <= cap
    slow.check(["a"])


def test_mending_nonces_does_not_pass_the_cap(slow: Case) -> None:
    """What another program left at our nonce offers more than we may."""
    transaction = {
        "chainId": slow.network.document["chain_id"],
        "nonce": int(slow.network.rpc("eth_getTransactionCount", slow.sender, "latest"), 16),
        "to": slow.sender,
        "gas": 21_000,
        "maxFeePerGas": 50 * GWEI,
        "maxPriorityFeePerGas": 40 * GWEI,
    }
    raw = Account.from_key(slow.key).sign_transaction(transaction).raw_transaction
    stuck = slow.network.rpc(SEND, "0x" + raw.hex())
    with observed(slow, fee_cap=50 * GWEI) as (client, proxy):
        with pytest.raises(InvalidInput, match=r"offers 50000000000 wei per gas; .* over the cap of 5"):
            client.fix_nonce()
        assert not proxy.raw_sent
        set_policy(client, fee_cap=60 * GWEI)
        threads = Threads(client.fix_nonce)
        until(lambda: replaced(slow, stuck), "the replacement")
        slow.mine()
        threads.results()
        assert [offer.max_fee for offer in offers(proxy)] == [55 * GWEI]


def mine_until_done(case: Case, threads: Threads[Any]) -> None:
    """Mine a block whenever something waits for one, and a first one."""
    while threads.running:
        case.mine()
        until(lambda: not threads.running or in_pool(case), "a transaction, or the end")
    threads.results()


def set_base_fee(case: Case, fee: int) -> None:
    """Mine a block with that base fee, in wei per gas."""
    case.network.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
    case.mine()


def assert_each_replaces_the_last(sent: Sequence[Offer]) -> None:
    """Geth's txpool.pricebump: both fees must rise by a tenth."""
    for old, new in itertools.pairwise(sent):
        assert 10 * new.max_fee >= 11 * old.max_fee
        assert 10 * new.priority_fee >= 11 * old.priority_fee
