"""What each role does from beginning to end, exact to the wei."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info
from tests.support.past import (
    COIN,
    DEFAULT_AGENT,
    STAKE,
    Person,
    chain_time,
    pair,
    pass_time,
    person,
    settled,
)

from ogpu import Client
from ogpu.errors import ContractReverted
from ogpu.events import Claimed, Deposited, Locked, TaskStatusChanged, Unbonded, UnbondingCanceled, Withdrawn
from ogpu.tx.state import Receipt
from ogpu.types import (
    DeliveryMethod,
    Environment,
    ResponseStatus,
    SourceParams,
    SourceStatus,
    TaskStatus,
    VaultAccount,
)


@pytest.fixture
def client(bare: RunningNetwork) -> Iterator[Client]:
    """The client, with the first client's key."""
    with Client(private_key=bare.key()) as found:
        yield found


@contextlib.contextmanager
def reverts(reason: str) -> Iterator[None]:
    """The contract refuses with this reason."""
    with pytest.raises(ContractReverted) as failed:
        yield
    assert failed.value.reason == reason


def coin_of(network: RunningNetwork, account: Person) -> int:
    return int(network.rpc("eth_getBalance", account.address, "latest"), 16)


def bidder(network: RunningNetwork, client: Client, source: str) -> Person:
    """A new provider, paired, staked, and registered to the source."""
    master, provider = person(network), person(network)
    pair(client, master, provider)
    client.provider(provider.address).register(source, Environment.CPU, private_key=provider.key)
    return provider


def attempt(client: Client, task: str, by: Person, price: int = PRICE) -> Receipt:
    return client.provider(by.address).attempt(task, price, private_key=by.key)


def answer(client: Client, task: str, by: Person, price: int) -> str:
    data = f"ipfs://answer of {by.address}"
    return client.provider(by.address).submit_response(task, data, price, private_key=by.key)


# --- the Vault


def test_stake_comes_back_to_the_wei_when_its_time_has_passed(bare: RunningNetwork, client: Client) -> None:
    saver, vault = person(bare), client.vault
    have, spent = coin_of(bare, saver), 0

    def paid(call: Callable[..., Receipt], *amount: int) -> None:
        nonlocal spent
        spent += call(*amount, private_key=saver.key).gas_cost

    def account(**expected: int) -> None:
        found = vault.account(saver.address)
        parts = ("balance", "lockup", "unbonding")
        assert {part: getattr(found, part) for part in parts} == dict.fromkeys(parts, 0) | expected

    paid(vault.deposit, 25 * COIN + 3)
    account(balance=25 * COIN + 3)
    assert coin_of(bare, saver) == have - 25 * COIN - 3 - spent
    paid(vault.lock, 20 * COIN + 1)
    account(balance=5 * COIN + 2, lockup=20 * COIN + 1)
    assert vault.is_eligible(saver.address)

    paid(vault.unbond, 4 * COIN)
    first = vault.unbonding_timestamp(saver.address)
    assert first == chain_time(bare) + vault.unbonding_period()
    pass_time(bare, 1000)
    paid(vault.unbond, 7 * COIN + 1)
    account(balance=5 * COIN + 2, lockup=9 * COIN, unbonding=11 * COIN + 1)
    assert not vault.is_eligible(saver.address)
    matures = vault.account(saver.address).unbonding_matures
    assert matures == vault.unbonding_timestamp(saver.address) == chain_time(bare) + vault.unbonding_period()
    assert matures >= first + 1000

    with reverts("UnbondingNotElapsed"):
        vault.claim(private_key=saver.key)
    bare.rpc("evm_setNextBlockTimestamp", matures - 1)
    bare.rpc("evm_mine")
    with reverts("UnbondingNotElapsed"):
        vault.claim(private_key=saver.key)
    paid(vault.cancel_unbonding)
    account(balance=5 * COIN + 2, lockup=20 * COIN + 1)
    assert vault.unbonding_timestamp(saver.address) == 0
    with reverts("NoUnbonding"):
        vault.claim(private_key=saver.key)

    paid(vault.unbond, 20 * COIN + 1)
    pass_time(bare, vault.unbonding_period())
    paid(vault.claim)
    account(balance=25 * COIN + 3)
    with reverts("InsufficientBalance"):
        vault.withdraw(25 * COIN + 4, private_key=saver.key)
    paid(vault.withdraw, 25 * COIN + 3)
    account()
    assert coin_of(bare, saver) == have - spent

    moves = [
        (type(event).__name__, event.amount)
        for kind in (Deposited, Locked, Unbonded, UnbondingCanceled, Claimed, Withdrawn)
        for event in vault.events(kind)
        if event.account == saver.address
    ]
    assert moves == [
        ("Deposited", 25 * COIN + 3),
        ("Locked", 20 * COIN + 1),
        ("Unbonded", 4 * COIN),
        ("Unbonded", 7 * COIN + 1),
        ("Unbonded", 20 * COIN + 1),
        ("UnbondingCanceled", 11 * COIN + 1),
        ("Claimed", 20 * COIN + 1),
        ("Withdrawn", 25 * COIN + 3),
    ]


def test_a_deposit_for_somebody_else_is_theirs(bare: RunningNetwork, client: Client) -> None:
    giver, taker = settled(bare, "client"), person(bare)
    before = client.vault.balance_of(giver.address)
    client.vault.deposit(5, taker.address)
    assert (client.vault.balance_of(taker.address), client.vault.balance_of(giver.address)) == (5, before)


@pytest.mark.parametrize("amount", [0, 1])
def test_more_than_there_is_cannot_be_locked_or_unbonded(
    bare: RunningNetwork, client: Client, amount: int
) -> None:
    nobody = person(bare)
    with reverts("InsufficientLockup"):
        client.vault.unbond(amount, private_key=nobody.key)
    if amount:
        with reverts("InsufficientBalance"):
            client.vault.lock(amount, private_key=nobody.key)


# --- people


@pytest.mark.parametrize("first", ["master", "provider"])
def test_both_halves_pair_in_either_order(bare: RunningNetwork, client: Client, first: str) -> None:
    boss, worker = person(bare), person(bare)
    master, provider = client.master(boss.address), client.provider(worker.address)
    halves: list[Callable[[], Receipt]] = [
        lambda: master.announce_provider(worker.address, STAKE + 1, private_key=boss.key),
        lambda: provider.announce_master(boss.address, private_key=worker.key),
    ]
    if first == "provider":
        halves.reverse()
    before = coin_of(bare, boss)
    halves[0]()
    assert provider.snapshot().master is None
    assert not client.terminal.is_provider(worker.address)
    halves[1]()

    there = provider.snapshot()
    assert (there.master, there.vault.lockup, there.vault.eligible) == (boss.address, STAKE + 1, True)
    assert master.snapshot().provider == worker.address
    assert before - coin_of(bare, boss) > STAKE
    with reverts("AlreadyRegistered"):
        client.provider(worker.address).announce_master(person(bare).address, private_key=worker.key)
    with reverts("NotMaster"):
        client.terminal.set_agent(boss.address, True, private_key=worker.key)

    with reverts("NotMaster"):
        client.terminal.remove_provider(worker.address, private_key=worker.key)
    master.remove_provider(worker.address, private_key=boss.key)
    gone = provider.snapshot()
    assert (gone.master, gone.vault.lockup, master.snapshot().provider) == (None, STAKE + 1, None)
    assert not client.terminal.is_master(boss.address)

    pair(client, boss, worker, 0)
    assert provider.snapshot().master == boss.address


def test_a_client_s_agent_publishes_updates_confirms_and_cancels_but_does_not_pay(
    bare: RunningNetwork, client: Client
) -> None:
    me, agent = settled(bare, "client"), person(bare)
    link = client.content.put_json(source_info().metadata(), "imageMetadata.json")
    terms = SourceParams(me.address, link, Environment.CPU, 10**15, 0, 86400)
    with reverts("NotClient"):
        client.nexus.publish_source(terms, private_key=agent.key)
    client.terminal.set_agent(agent.address, True)
    assert client.terminal.is_agent_of(me.address, agent.address)

    source = client.source(client.nexus.publish_source(terms, private_key=agent.key))
    there = source.snapshot()
    assert (there.client, there.metadata_url) == (me.address, link)
    source.update(source_info(minPayment=7), private_key=agent.key)
    assert source.snapshot().client == me.address
    assert source.params().min_payment == 7

    worker = bidder(bare, client, source.address)
    before = client.vault.balance_of(me.address)
    chosen, dropped = (client.publish_task(task_info(source.address, n=n)) for n in (1, 2))
    attempt(client, chosen, worker)
    response = answer(client, chosen, worker, PRICE - 5)
    client.response(response).confirm(private_key=agent.key)
    client.task(dropped).cancel(private_key=agent.key)
    assert client.vault.balance_of(me.address) == before - PRICE + 5
    assert client.vault.balance_of(worker.address) == PRICE - 5
    assert client.vault.balance_of(agent.address) == 0
    with reverts("NotClient"):
        client.vault.force_release_payment(dropped, private_key=agent.key)

    source.inactivate(private_key=agent.key)
    assert source.status() is SourceStatus.INACTIVE
    client.terminal.set_agent(agent.address, False)
    with reverts("NotClient"):
        client.nexus.publish_source(terms, private_key=agent.key)


def test_a_master_s_agent_works_for_its_provider_and_the_default_agent_only_when_it_is_let(
    bare: RunningNetwork, client: Client
) -> None:
    boss, worker, agent = (settled(bare, role) for role in ("master", "provider", "agent"))
    master, provider = client.master(boss.address), client.provider(worker.address)
    source = client.publish_source(source_info())
    provider.register(source, Environment.NVIDIA, private_key=agent.key)
    assert client.source(source).registrants() == [worker.address]
    assert client.source(source).preferred_environment_of(worker.address) is Environment.NVIDIA
    task = client.publish_task(task_info(source))
    provider.attempt(task, PRICE, private_key=agent.key)
    assert client.task(task).attempters() == [worker.address]
    assert provider.snapshot().sources == (source,)

    assert master.is_agent(DEFAULT_AGENT)
    master.set_default_agent_disabled(True, private_key=boss.key)
    assert not master.is_agent(DEFAULT_AGENT)
    assert master.snapshot().default_agent_disabled
    assert master.is_agent(agent.address)
    master.set_default_agent_disabled(False, private_key=boss.key)
    assert master.is_agent(DEFAULT_AGENT)

    master.set_agent(agent.address, False, private_key=boss.key)
    assert not master.is_agent(agent.address)
    with reverts("NotAgent"):
        provider.unregister(source, private_key=agent.key)
    provider.unregister(source, private_key=boss.key)
    assert provider.snapshot().sources == ()


# --- sources


def test_a_source_is_changed_and_ended_and_its_tasks_run_on(bare: RunningNetwork, client: Client) -> None:
    me = settled(bare, "client")
    source = client.source(client.publish_source(source_info()))
    assert source.snapshot().registrant_count == 0
    worker = bidder(bare, client, source.address)
    with reverts("AlreadyRegistered"):
        client.provider(worker.address).register(source.address, Environment.CPU, private_key=worker.key)
    task = client.publish_task(task_info(source.address))

    old = source.snapshot()
    source.update(source_info(minPayment=2 * PRICE, deliveryMethod=DeliveryMethod.FIRST_RESPONSE))
    new = source.snapshot()
    assert (new.min_payment, new.delivery_method) == (2 * PRICE, DeliveryMethod.FIRST_RESPONSE)
    assert (new.client, new.task_count, new.registrant_count) == (me.address, 1, 1)
    assert new.last_update_time >= old.last_update_time
    assert new.metadata_url == old.metadata_url, "the metadata is the same, and so is its link"
    assert client.task(task).delivery_method() is DeliveryMethod.MANUAL_CONFIRMATION
    assert client.task(task).payment() == PRICE

    count = client.nexus.active_source_count(me.address)
    source.inactivate()
    assert client.nexus.active_source_count(me.address) == count - 1
    with reverts("SourceInactive"):
        source.inactivate()
    with reverts("SourceInactive"):
        source.update(source_info())
    attempt(client, task, worker)
    assert client.task(task).status() is TaskStatus.ATTEMPTED
    assert source.tasks() == [task]


# --- tasks


def test_a_task_that_nobody_took_is_canceled_and_paid_back(bare: RunningNetwork, client: Client) -> None:
    me = settled(bare, "client")
    source = client.publish_source(source_info())
    worker = bidder(bare, client, source)
    before = client.vault.balance_of(me.address)
    task, taken = (client.publish_task(task_info(source, n=n)) for n in (1, 2))
    assert client.vault.balance_of(me.address) == before - 2 * PRICE
    assert client.vault.frozen_payment(task) == PRICE
    client.task(task).cancel()
    assert client.task(task).status() is TaskStatus.CANCELED
    assert client.vault.balance_of(me.address) == before - PRICE
    assert client.vault.frozen_payment(task) == 0
    attempt(client, taken, worker)
    for over in (task, taken):
        with reverts("InvalidStatus"):
            client.task(over).cancel()


@pytest.mark.parametrize("by", ["its client", "an attempt"])
def test_an_expired_task_is_paid_back_once_either_way(bare: RunningNetwork, client: Client, by: str) -> None:
    me = settled(bare, "client")
    source = client.publish_source(source_info())
    worker = bidder(bare, client, source)
    before = client.vault.balance_of(me.address)
    expiry = int(time.time()) + 600
    task = client.publish_task(replace(task_info(source), expiryTime=expiry))
    attempt(client, task, worker)

    def release() -> Receipt:
        return client.vault.force_release_payment(task)

    late = bidder(bare, client, source)
    with reverts("InvalidExpiry"):
        release()
    bare.rpc("evm_setNextBlockTimestamp", expiry)
    bare.rpc("evm_mine")
    with reverts("Expired"):
        answer(client, task, worker, PRICE)
    with reverts("NotClient"):
        client.vault.force_release_payment(task, private_key=late.key)

    ways: list[Callable[[], Receipt]] = [release, lambda: attempt(client, task, late)]
    way = ways[by == "an attempt"]
    receipt = way()
    assert receipt.succeeded
    assert client.task(task).status() is TaskStatus.EXPIRED
    assert client.vault.balance_of(me.address) == before
    assert client.task(task).attempters() == [worker.address], "an attempt past the expiry is none"
    changes = client.nexus.events(TaskStatusChanged, receipt.block_number)
    assert [(event.task, event.status) for event in changes] == [(task, TaskStatus.EXPIRED)]
    for again in ways:
        with reverts("InvalidStatus"):
            again()
    assert client.vault.balance_of(me.address) == before


def test_one_of_several_bids_is_confirmed_at_its_own_price(bare: RunningNetwork, client: Client) -> None:
    me = settled(bare, "client")
    source = client.publish_source(source_info())
    workers = [bidder(bare, client, source) for _ in range(3)]
    before = client.vault.balance_of(me.address)
    task = client.publish_task(task_info(source))
    prices = [PRICE, PRICE // 3, PRICE // 2]
    for worker, price in zip(workers, prices, strict=True):
        attempt(client, task, worker, price)
    assert client.task(task).status() is TaskStatus.ATTEMPTED
    for worker, price in zip(workers, prices, strict=True):
        answer(client, task, worker, price)
    with reverts("InsufficientPayment"):
        attempt(client, task, bidder(bare, client, source), PRICE + 1)
    assert client.task(task).status() is TaskStatus.RESPONDED

    bids = client.get_task_responses(task)
    assert [(bid.provider, bid.payment) for bid in bids] == [
        (worker.address, price) for worker, price in zip(workers, prices, strict=True)
    ]
    cheapest = min(bids, key=lambda bid: bid.payment)
    with reverts("NotClient"):
        client.response(cheapest.address).confirm(private_key=workers[1].key)
    client.response(cheapest.address).confirm()

    there = client.task(task).snapshot()
    assert (there.status, there.winning_provider) == (TaskStatus.FINALIZED, workers[1].address)
    assert client.vault.balance_of(me.address) == before - PRICE // 3
    paid = [client.vault.account(worker.address) for worker in workers]
    assert [(account.balance, account.earned) for account in paid] == [(0, 0), (PRICE // 3,) * 2, (0, 0)]
    states = [client.response(bid.address).status() for bid in bids]
    assert states == [ResponseStatus.SUBMITTED, ResponseStatus.CONFIRMED, ResponseStatus.SUBMITTED]
    with reverts("AlreadyConfirmed"):
        client.response(cheapest.address).confirm()
    with reverts("AlreadyFinalized"):
        client.response(bids[0].address).confirm()


def test_the_first_response_wins_the_whole_payment_at_once(bare: RunningNetwork, client: Client) -> None:
    me = settled(bare, "client")
    source = client.publish_source(source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE))
    quick, slow = (bidder(bare, client, source) for _ in range(2))
    before = client.vault.balance_of(me.address)
    task = client.publish_task(task_info(source))
    for worker in (slow, quick):
        attempt(client, task, worker)
    response = answer(client, task, quick, PRICE // 2)  # whatever it asks

    there = client.task(task).snapshot()
    assert (there.status, there.winning_provider) == (TaskStatus.FINALIZED, quick.address)
    assert client.response(response).confirmed_final()
    accounts: list[VaultAccount] = [client.vault.account(each.address) for each in (quick, slow, me)]
    assert [account.balance for account in accounts] == [PRICE, 0, before - PRICE]
    assert client.wait_for_response(task, 5).address == response
    with reverts("AlreadyFinalized"):
        answer(client, task, slow, PRICE)
