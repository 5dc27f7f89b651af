"""Tasks that are given up and published again: no work is paid twice, and every payment is counted."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.bidders import answer, bid, bidders
from tests.support.calls import Threads
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, set_policy, source_info, through
from tests.support.proxy import Fault, proxied

from ogpu import Client, Retry
from ogpu.errors import (
    BudgetExceeded,
    ClientClosed,
    ContractReverted,
    InvalidInput,
    JournalError,
    NetworkError,
    OGPUError,
    ResultInvalid,
    StateError,
    TaskCanceled,
    TransactionUndetermined,
    WaitTimeout,
)
from ogpu.sync import Task
from ogpu.types import TaskStatus


class Label(BaseModel):
    label: str


LATE = Retry(attempts=2, on=(WaitTimeout,))
OPEN = (
    OGPUError,
    NetworkError,
    TransactionUndetermined,
    ContractReverted,
    JournalError,
    ClientClosed,
    StateError,
)


@pytest.fixture
def client(bare: RunningNetwork) -> Iterator[Client]:
    with Client() as opened:
        yield opened


def tasks_of(client: Client, source: str) -> list[Task]:
    return [client.task(address) for address in client.source(source).tasks()]


def statuses(client: Client, source: str) -> list[TaskStatus]:
    return [task.status() for task in tasks_of(client, source)]


def coins(network: RunningNetwork) -> int:
    return int(network.rpc("eth_getBalance", network.address(), "latest"), 16)


def pool(network: RunningNetwork) -> int:
    """How many transactions wait to be mined."""
    return int(network.rpc("txpool_status")["pending"], 16)


def pass_time(network: RunningNetwork, time: int) -> None:
    network.rpc("evm_setNextBlockTimestamp", time)
    network.rpc("anvil_mine")


# --- nothing is published while the fate of the former is open


@pytest.mark.parametrize("kind", OPEN, ids=lambda kind: kind.__name__)
def test_an_error_that_leaves_open_what_is_paid_is_no_reason_to_publish_again(kind: type[OGPUError]) -> None:
    with pytest.raises(InvalidInput, match="on must be a tuple of TaskExpired"):
        Retry(on=(WaitTimeout, kind))


def test_a_publish_that_is_not_mined_is_waited_on_and_not_made_again(held: RunningNetwork) -> None:
    """Without a key as well, and when the task would have expired meanwhile."""
    with Client() as client:
        source = client.publish_source(source_info())
        set_policy(client, receipt_timeout=0.7)
        held.rpc("evm_setAutomine", False)
        with pytest.raises(TransactionUndetermined):
            client.run(source, "f", {}, payment=PRICE, expires_in=1, retries=Retry(attempts=3))
        assert pool(held) == 1


def test_a_task_whose_cancellation_is_not_mined_has_no_follower_until_it_is(held: RunningNetwork) -> None:
    with Client() as client:
        source = client.publish_source(source_info())
        client.submit(source, "f", {}, payment=PRICE, idempotency_key="open/run/1")
        set_policy(client, receipt_timeout=0.3)

        def run() -> None:
            client.run(source, "f", {}, payment=PRICE, timeout=0, retries=LATE, idempotency_key="open")

        held.rpc("evm_setAutomine", False)
        for _ in range(2):
            with pytest.raises(TransactionUndetermined):
                run()
            assert pool(held) == 1
        held.rpc("evm_setAutomine", True)
        held.rpc("anvil_mine")
        with pytest.raises(WaitTimeout):
            run()
        assert statuses(client, source) == [TaskStatus.CANCELED, TaskStatus.NEW]


def test_a_node_that_is_away_while_a_task_is_given_up_is_waited_for(
    bare: RunningNetwork, client: Client
) -> None:
    source = client.publish_source(source_info())
    task = client.submit(source, "f", {}, payment=PRICE, idempotency_key="away/run/1")
    with proxied(bare.url) as proxy, Client(through(bare, proxy.url)) as other:

        def seen(method: str) -> None:
            looks = [call for call in proxy.calls if call["method"] == "eth_call"]
            if not proxy.orders and any(call["params"][0]["to"] == task.address for call in looks):
                proxy.order("*", Fault.DROP_BEFORE, times=10)

        proxy.hold_after = seen
        with pytest.raises(WaitTimeout):
            other.run(source, "f", {}, payment=PRICE, timeout=0, retries=LATE, idempotency_key="away")
        assert proxy.faults["*", Fault.DROP_BEFORE] == 10
    assert statuses(client, source) == [TaskStatus.CANCELED, TaskStatus.NEW]


def test_a_task_whose_payment_is_on_its_way_has_no_follower_though_its_result_does_not_fit(
    held: RunningNetwork,
) -> None:
    with Client() as client, proxied(held.url) as proxy, Client(through(held, proxy.url)) as other:
        source = client.publish_source(source_info())
        (provider,) = bidders(held, source, 1)
        task = client.submit(source, "f", {}, payment=PRICE, idempotency_key="paid/run/1")
        bid(held, task.address, provider)
        answer(held, task.address, provider, client.content.put_json({"n": 1}))
        set_policy(client, receipt_timeout=0.3)
        held.rpc("evm_setAutomine", False)
        with pytest.raises(TransactionUndetermined):
            client.run(source, "f", {}, payment=PRICE, idempotency_key="paid")
        again = Threads(
            lambda: other.run(
                source, "f", {}, payment=PRICE, model=Label, retries=Retry(2), idempotency_key="paid"
            )
        )
        wait_until(lambda: proxy.methods["eth_call"] > 80, what="some looks")
        assert pool(held) == 1
        held.rpc("evm_setAutomine", True)
        held.rpc("anvil_mine")
        wait_until(lambda: len(tasks_of(client, source)) == 2, what="the next attempt")
        assert task.status() is TaskStatus.FINALIZED
        tasks_of(client, source)[1].cancel()
        assert [type(outcome) for outcome in again.outcomes()] == [TaskCanceled]


def test_a_task_that_another_run_of_the_same_key_gave_up_is_not_paid_as_well(
    bare: RunningNetwork, client: Client
) -> None:
    source = client.publish_source(source_info())
    one, two = bidders(bare, source, 2)
    first = client.submit(source, "f", {}, payment=PRICE, idempotency_key="both/run/1")
    bid(bare, first.address, one, two)
    answer(bare, first.address, one, "ipfs://no-cid")
    with proxied(bare.url) as proxy, Client(through(bare, proxy.url)) as other:
        calls = Threads(
            lambda: other.run(source, "f", {}, payment=PRICE, retries=Retry(2), idempotency_key="both")
        )
        wait_until(lambda: proxy.methods["eth_call"] > 40, what="some looks")
        second = client.submit(source, "f", {}, payment=PRICE, idempotency_key="both/run/2")
        answer(bare, first.address, two, client.content.put_json({"n": 1}))
        bid(bare, second.address, two)
        answer(bare, second.address, two, client.content.put_json({"n": 2}))
        assert calls.results() == [{"n": 2}]
    assert statuses(client, source) == [TaskStatus.RESPONDED, TaskStatus.FINALIZED]


# --- a payment that is frozen


def test_a_frozen_payment_is_taken_back_as_soon_as_its_time_is_over(
    bare: RunningNetwork, client: Client
) -> None:
    source = client.publish_source(source_info())
    (provider,) = bidders(bare, source, 1)
    before = client.vault.balance_of(bare.address())
    first = client.submit(source, "f", {}, payment=PRICE, expires_in=300, idempotency_key="frozen/run/1")
    bid(bare, first.address, provider)
    answer(bare, first.address, provider, "ipfs://no-cid")
    calls = Threads(
        lambda: client.run(
            source, "f", {}, payment=PRICE, expires_in=3000, retries=Retry(2), idempotency_key="frozen"
        )
    )
    wait_until(lambda: len(tasks_of(client, source)) == 2, what="the second attempt")
    assert client.vault.balance_of(bare.address()) == before - 2 * PRICE
    pass_time(bare, first.expiry_time())
    wait_until(lambda: first.status() is TaskStatus.EXPIRED, what="taking it back")
    assert client.vault.balance_of(bare.address()) == before - PRICE
    second = tasks_of(client, source)[1]
    bid(bare, second.address, provider)
    answer(bare, second.address, provider, client.content.put_json({"n": 2}))
    assert calls.results() == [{"n": 2}]


def test_what_stays_frozen_is_told_and_taken_back_by_a_later_run_of_the_same_key(
    bare: RunningNetwork, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    source = client.publish_source(source_info())
    (provider,) = bidders(bare, source, 1)

    def run() -> Any:
        return client.run(source, "f", {}, payment=PRICE, retries=Retry(2), idempotency_key="told")

    calls = Threads(run)
    for number in range(2):
        wait_until(lambda number=number: len(tasks_of(client, source)) > number, what="the next attempt")
        task = tasks_of(client, source)[number]
        bid(bare, task.address, provider)
        answer(bare, task.address, provider, f"ipfs://no-cid-{number}")
    (error,) = calls.outcomes()
    first, second = tasks_of(client, source)
    assert isinstance(error, ResultInvalid)
    assert error.facts == {"task": second.address, "given_up": [first.address]}
    (said,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert first.address in said
    assert "force_release_payment" in said
    pass_time(bare, second.expiry_time() + 1)
    with pytest.raises(ResultInvalid) as again:
        run()
    assert "given_up" not in again.value.facts
    assert statuses(client, source) == [TaskStatus.EXPIRED, TaskStatus.RESPONDED]


# --- budgets


def test_frozen_payments_count_in_a_budget(bare: RunningNetwork, client: Client) -> None:
    source = client.publish_source(source_info())
    (provider,) = bidders(bare, source, 1)
    before, budget = coins(bare) + client.vault.balance_of(bare.address()), 7 * PRICE // 2
    calls = Threads(
        lambda: list(client.map(source, "f", [{}], payment=PRICE, budget=budget, retries=Retry(attempts=8)))
    )
    answered: set[str] = set()
    while calls.running:
        for task in tasks_of(client, source):
            if task.address not in answered:
                bid(bare, task.address, provider)
                answer(bare, task.address, provider, f"ipfs://no-cid-{len(answered)}")
                answered.add(task.address)
    (error,) = calls.outcomes()
    assert isinstance(error, BudgetExceeded)
    assert set(error.facts["given_up"]) == answered
    assert len(answered) >= 2
    assert before - coins(bare) - client.vault.balance_of(bare.address()) <= budget


def needed(client: Client, source: str) -> int:
    """What a budget must have for one task of the least payment."""
    with pytest.raises(BudgetExceeded) as caught:
        list(client.map(source, "f", [{}], payment=1, budget=1))
    return int(caught.value.facts["needed"])


def test_all_that_is_sent_for_a_task_counts_in_a_budget(bare: RunningNetwork, client: Client) -> None:
    source = client.publish_source(source_info(minPayment=1))
    budget, before = needed(client, source) * 3 // 2, coins(bare)
    retries = Retry(attempts=50, on=(WaitTimeout,))
    with pytest.raises(BudgetExceeded) as caught:
        list(client.map(source, "f", [{}], payment=1, budget=budget, timeout=0, retries=retries))
    assert len(set(statuses(client, source))) == 1
    assert caught.value.facts["left"] == budget - (before - coins(bare))


def test_gas_that_becomes_dearer_is_seen_before_it_is_paid(bare: RunningNetwork, client: Client) -> None:
    source = client.publish_source(source_info(minPayment=1))
    budget, before = needed(client, source) * 2, coins(bare)
    items = ({"n": number} for number in itertools.count())
    results = client.map(
        source, "f", items, payment=1, budget=budget, timeout=0, in_flight=1, return_exceptions=True
    )
    assert isinstance(next(results), WaitTimeout)
    price = int(bare.rpc("eth_gasPrice"), 16)
    bare.rpc("anvil_setNextBlockBaseFeePerGas", hex(20 * price))
    bare.rpc("anvil_mine")
    try:
        with pytest.raises(BudgetExceeded):
            next(results)
    finally:
        bare.rpc("anvil_setNextBlockBaseFeePerGas", hex(price))  # which is not wound back
    assert before - coins(bare) <= budget
