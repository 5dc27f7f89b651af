"""Functions called through the network, one or many: in order, within bounds, paid once, and resumed."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.bidders import answer, bid, bidders
from tests.support.calls import Threads
from tests.support.crash import child
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.mapping import ITEMS, KEY, mapped_in_a_process, numbers
from tests.support.market import PRICE, source_info, through
from tests.support.proxy import Fault, proxied

from ogpu import AsyncClient, Client, Retry
from ogpu.client import DeliveryMethod
from ogpu.errors import (
    BudgetExceeded,
    ClientClosed,
    IdempotencyConflict,
    InvalidExpiry,
    InvalidInput,
    NotJSON,
    ResultInvalid,
    TaskExpired,
    WaitTimeout,
)
from ogpu.sync import Task
from ogpu.types import TaskStatus


class Number(BaseModel):
    n: int


class Label(BaseModel):
    label: str


@pytest.fixture
def client(working: RunningNetwork) -> Iterator[Client]:
    with Client() as opened:
        yield opened


@pytest.fixture
def source(client: Client) -> str:
    """A source that no other test has tasks of."""
    return client.publish_source(source_info())


def tasks_of(client: Client, source: str) -> list[Task]:
    return [client.task(address) for address in client.source(source).tasks()]


# --- one


def test_a_function_is_called_checked_and_paid_for(client: Client, source: str) -> None:
    assert client.run(source, "echo", Number(n=3), payment=PRICE, model=Number) == Number(n=3)
    (task,) = tasks_of(client, source)
    assert task.status() is TaskStatus.FINALIZED
    assert 3500 < task.expiry_time() - time.time() <= 3601
    first = client.publish_source(source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE))
    assert client.run(first, "echo", {"n": 4}, payment=PRICE, accept=None) == {"n": 4}


def test_a_task_expires_when_its_source_says_so_or_the_caller(client: Client) -> None:
    short = client.publish_source(source_info(maxExpiryDuration=120))
    for asked, longest in ((None, 120), (40, 40)):
        task = client.submit(short, "nobody_has_it", {}, payment=PRICE, expires_in=asked)
        assert longest - 20 < task.expiry_time() - time.time() <= longest + 1
        task.cancel()
    with pytest.raises(InvalidExpiry):
        client.submit(short, "echo", {}, payment=PRICE, expires_in=150)


def test_a_call_by_its_key_is_one_task_and_another_call_a_conflict(client: Client, source: str) -> None:
    for _ in range(2):
        assert client.run(source, "echo", {"n": 5}, payment=PRICE, idempotency_key="five") == {"n": 5}
    with pytest.raises(IdempotencyConflict):
        client.run(source, "echo", {"n": 6}, payment=PRICE, idempotency_key="five")
    assert len(tasks_of(client, source)) == 1


def test_a_task_that_nobody_takes_goes_on_after_the_timeout(client: Client, source: str) -> None:
    with pytest.raises(WaitTimeout) as caught:
        client.run(source, "nobody_has_it", {}, payment=PRICE, timeout=0.2)
    (task,) = tasks_of(client, source)
    assert f"client.task('{task.address}')" in str(caught.value)
    assert task.status() is TaskStatus.NEW
    task.cancel()


BAD: list[dict[str, Any]] = [
    {"payment": -1},
    {"payment": "1"},
    {"timeout": -1},
    {"expires_in": 0},
    {"accept": "best"},
    {"bidding": "long"},
    {"retries": 3},
    {"idempotency_key": ""},
    {"idempotency_key": "x" * 190},
    {"model": dict},
]


@pytest.mark.parametrize("options", BAD, ids=repr)
def test_what_cannot_be_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    with Client("testnet", private_key="0x" + "42" * 32, journal=":memory:") as client:
        for call, given in ((client.run, {"n": 1}), (client.map, [{"n": 1}])):
            with pytest.raises(InvalidInput):
                call("0x" + "11" * 20, "echo", given, **{"payment": PRICE, **options})  # type: ignore[arg-type]


def test_a_listener_that_is_none_is_refused_before_anything_is_sent() -> None:
    with (
        Client("testnet", private_key="0x" + "42" * 32, journal=":memory:") as client,
        pytest.raises(InvalidInput, match="published is 'done'"),
    ):
        client.run("0x" + "11" * 20, "echo", {"n": 1}, payment=PRICE, published="done")  # type: ignore[call-overload]


# --- published again


def test_a_task_that_nobody_takes_in_time_is_canceled_and_published_again(
    client: Client, source: str
) -> None:
    with pytest.raises(WaitTimeout):
        client.run(
            source,
            "nobody_has_it",
            {},
            payment=PRICE,
            timeout=0.2,
            retries=Retry(attempts=3, on=(WaitTimeout,)),
            idempotency_key="again",
        )
    statuses = [task.status() for task in tasks_of(client, source)]
    assert statuses == [TaskStatus.CANCELED, TaskStatus.CANCELED, TaskStatus.NEW]
    assert {client.intent(f"again/run/{attempt}").label for attempt in (1, 2, 3)} == {
        "Controller.publishTask"
    }
    with pytest.raises(WaitTimeout):  # it goes on with the last one, and publishes no other
        client.run(
            source,
            "nobody_has_it",
            {},
            payment=PRICE,
            timeout=0.1,
            retries=Retry(attempts=3, on=(WaitTimeout,)),
            idempotency_key="again",
        )
    assert len(tasks_of(client, source)) == 3
    tasks_of(client, source)[2].cancel()


def test_a_paid_result_that_does_not_fit_is_asked_for_again_only_when_told_so(client: Client) -> None:
    source = client.publish_source(source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE))
    with pytest.raises(ResultInvalid):
        client.run(source, "echo", {"n": 1}, payment=PRICE, model=Label)
    assert len(tasks_of(client, source)) == 1
    with pytest.raises(ResultInvalid):
        client.run(source, "echo", {"n": 1}, payment=PRICE, model=Label, retries=Retry(attempts=2))
    assert len(tasks_of(client, source)) == 3


def test_an_expired_task_s_payment_is_back_before_it_is_published_again(bare: RunningNetwork) -> None:
    with Client() as client:
        source = client.publish_source(source_info())
        (provider,) = bidders(bare, source, 1)
        before = client.vault.balance_of(bare.address())
        calls = Threads(
            lambda: client.run(
                source, "f", {}, payment=PRICE, expires_in=600, timeout=60, retries=Retry(attempts=2)
            )
        )
        wait_until(lambda: tasks_of(client, source), what="the first attempt")
        (first,) = tasks_of(client, source)
        bid(bare, first.address, provider)
        bare.rpc("evm_setNextBlockTimestamp", first.expiry_time() + 1)
        bare.rpc("anvil_mine")
        wait_until(lambda: len(tasks_of(client, source)) == 2, what="the second attempt")
        second = tasks_of(client, source)[1]
        assert first.status() is TaskStatus.EXPIRED
        assert client.vault.balance_of(bare.address()) == before - PRICE
        bid(bare, second.address, provider)
        answer(bare, second.address, provider, client.content.put_json({"n": 2}))
        assert calls.results() == [{"n": 2}]


def test_a_task_that_somebody_has_taken_is_waited_for_and_not_published_again(bare: RunningNetwork) -> None:
    retries = Retry(attempts=3, on=(WaitTimeout,))
    with Client() as client:
        source = client.publish_source(source_info())
        (provider,) = bidders(bare, source, 1)
        task = client.submit(source, "f", {}, payment=PRICE, idempotency_key="taken/run/1")
        bid(bare, task.address, provider)
        with proxied(bare.url) as proxy, Client(through(bare, proxy.url)) as other:
            calls = Threads(
                lambda: other.run(
                    source, "f", {}, payment=PRICE, timeout=0, retries=retries, idempotency_key="taken"
                )
            )
            wait_until(lambda: proxy.requests >= 15, what="looks after the time was up")
            answer(bare, task.address, provider, client.content.put_json({"n": 1}))
            assert calls.results() == [{"n": 1}]
        assert len(tasks_of(client, source)) == 1


def test_a_run_that_is_repeated_takes_the_last_attempt_and_pays_no_other(bare: RunningNetwork) -> None:
    """Even when an earlier attempt's response would do by now, its content having been out of reach."""
    with Client() as client:
        source = client.publish_source(source_info())
        (provider,) = bidders(bare, source, 1)
        for attempt, result in ((1, {"n": 1}), (2, {"label": "good"})):
            task = client.submit(source, "f", {}, payment=PRICE, idempotency_key=f"repeated/run/{attempt}")
            bid(bare, task.address, provider)
            answer(bare, task.address, provider, client.content.put_json(result))
        for model in (Label, None):
            found = client.run(
                source,
                "f",
                {},
                payment=PRICE,
                model=model,
                retries=Retry(attempts=3),
                idempotency_key="repeated",
            )
            assert found == (Label(label="good") if model else {"label": "good"})
        assert [task.status() for task in tasks_of(client, source)] == [
            TaskStatus.RESPONDED,
            TaskStatus.FINALIZED,
        ]


def test_without_retries_an_expired_task_is_an_error(bare: RunningNetwork) -> None:
    with Client() as client:
        source = client.publish_source(source_info())
        calls = Threads(lambda: client.run(source, "f", {}, payment=PRICE, expires_in=600))
        wait_until(lambda: tasks_of(client, source), what="the task")
        (task,) = tasks_of(client, source)
        bare.rpc("evm_setNextBlockTimestamp", task.expiry_time() + 1)
        bare.rpc("anvil_mine")
        (outcome,) = calls.outcomes()
        assert isinstance(outcome, TaskExpired)
        assert len(tasks_of(client, source)) == 1


# --- many


def test_results_are_in_order_and_all_there_as_they_come(client: Client, source: str) -> None:
    ordered = client.map(source, "echo", numbers(30), payment=PRICE, model=Number)
    assert [result.n for result in ordered] == list(range(30))
    as_they_come = client.map(source, "echo", numbers(10), payment=PRICE, ordered=False)
    assert sorted(result["n"] for result in as_they_come) == list(range(10))
    assert list(client.map(source, "echo", [], payment=PRICE)) == []


def test_asynchronous_items_and_results(client: Client, source: str) -> None:
    async def items() -> AsyncIterator[Number]:
        for number in range(6):
            await asyncio.sleep(0)
            yield Number(n=number)

    async def story() -> list[int]:
        async with AsyncClient() as core:
            results = core.map(source, "echo", items(), payment=PRICE, model=Number, in_flight=2)
            return [result.n async for result in results]

    assert asyncio.run(story()) == list(range(6))
    assert list(client.map(source, "echo", items(), payment=PRICE)) == [{"n": n} for n in range(6)]


def test_an_item_s_error_is_raised_in_its_turn_or_stands_in_its_place(client: Client, source: str) -> None:
    items: list[Any] = [{"n": 0}, {"n": object()}, {"n": 2}, "no data"]
    begun = client.map(source, "echo", items, payment=PRICE, idempotency_key="mixed")
    assert next(begun) == {"n": 0}
    with pytest.raises(NotJSON):
        next(begun)
    assert list(begun) == []
    results = list(
        client.map(source, "echo", items, payment=PRICE, idempotency_key="mixed", return_exceptions=True)
    )
    assert (results[0], results[2]) == ({"n": 0}, {"n": 2})
    assert [type(results[place]) for place in (1, 3)] == [NotJSON, InvalidInput]
    assert len(tasks_of(client, source)) == 2


class Broken(Exception):
    """What somebody's own items raise."""


def test_when_the_items_fail_what_was_begun_is_given_first(client: Client, source: str) -> None:
    def items() -> Iterator[dict[str, int]]:
        yield from numbers(3)
        raise Broken

    results = client.map(source, "echo", items(), payment=PRICE)
    assert [next(results) for _ in range(3)] == [{"n": n} for n in range(3)]
    with pytest.raises(Broken):
        next(results)


def test_an_endless_source_of_items_is_asked_only_for_what_has_room(client: Client, source: str) -> None:
    taken, thread, closed = 0, set(), threading.Event()

    def endless() -> Iterator[dict[str, int]]:
        nonlocal taken
        try:
            for taken in itertools.count(1):
                thread.add(threading.get_ident())
                yield {"n": taken}
        finally:
            closed.set()

    results = client.map(source, "echo", endless(), payment=PRICE, in_flight=3)
    for given in range(1, 7):
        assert next(results) == {"n": given}
        assert taken <= given + 3
        assert len(tasks_of(client, source)) <= given + 3
    results.close()  # type: ignore[attr-defined]
    assert closed.wait(10)
    published = len(tasks_of(client, source))
    assert published <= 9
    assert len(thread) == 1
    assert threading.get_ident() not in thread
    assert client.run(source, "echo", {"n": 0}, payment=PRICE) == {"n": 0}
    assert len(tasks_of(client, source)) == published + 1  # nothing more came of the others


def test_breaking_out_stops_it_in_both_faces(client: Client, source: str) -> None:
    for result in client.map(source, "echo", numbers(10**6), payment=PRICE, in_flight=2):
        assert result == {"n": 0}
        break
    published = len(tasks_of(client, source))
    assert published <= 3
    assert client.run(source, "echo", {"n": 1}, payment=PRICE) == {"n": 1}

    async def story() -> None:
        async with AsyncClient() as core:
            async for result in core.map(source, "echo", numbers(10**6), payment=PRICE, in_flight=2):
                assert result == {"n": 0}
                break
            assert await core.run(source, "echo", {"n": 1}, payment=PRICE) == {"n": 1}

    asyncio.run(story())
    assert len(tasks_of(client, source)) <= published + 1 + 3 + 1


def test_closing_the_client_ends_an_iterator(client: Client, source: str) -> None:
    with Client() as other:
        results = other.map(source, "echo", numbers(10**6), payment=PRICE, in_flight=2)
        assert next(results) == {"n": 0}
    with pytest.raises(ClientClosed):
        list(results)


def test_a_budget_is_never_overspent_and_what_it_bought_is_given(
    working: RunningNetwork, client: Client, source: str
) -> None:
    def funds() -> int:
        coins = int(working.rpc("eth_getBalance", working.address(), "latest"), 16)
        return coins + client.vault.balance_of(working.address())

    budget = 5 * PRICE
    for return_exceptions in (False, True):
        start, results = funds(), list[Any]()
        bought = client.map(
            source,
            "echo",
            numbers(20),
            payment=PRICE,
            budget=budget,
            in_flight=3,
            return_exceptions=return_exceptions,
        )
        with pytest.raises(BudgetExceeded, match=f"of the {budget} wei that this work may spend"):
            results.extend(bought)
        assert results == list(numbers(len(results)))
        assert 3 <= len(results) <= 4  # gas takes less than one payment
        assert PRICE * len(results) < start - funds() <= budget


def test_a_later_item_does_not_spend_what_an_earlier_one_needs(working: RunningNetwork) -> None:
    """The first one's price is known last, as its request fails once."""
    with proxied(working.url) as proxy, Client(through(working, proxy.url)) as client:
        source = client.publish_source(source_info())
        proxy.order("eth_estimateGas", Fault.DROP_BEFORE)
        results = list[Any]()
        with pytest.raises(BudgetExceeded):
            results.extend(
                client.map(source, "echo", numbers(2), payment=PRICE, budget=2 * PRICE, in_flight=2)
            )
        assert proxy.faults["eth_estimateGas", Fault.DROP_BEFORE] == 1
    assert results == [{"n": 0}]


def test_a_killed_map_goes_on_by_its_key_and_publishes_nothing_twice(client: Client, source: str) -> None:
    with child(mapped_in_a_process, source) as running:
        for number in range(3):
            assert running.receive() == {"n": number}
        running.kill()
    left = len(tasks_of(client, source))
    assert 3 <= left < ITEMS
    with child(mapped_in_a_process, source) as running:
        assert running.everything() == [*numbers(), "done"]
    assert len(tasks_of(client, source)) == ITEMS
    again = client.map(source, "echo", numbers(), payment=PRICE, idempotency_key=KEY, ordered=False)
    assert sorted(result["n"] for result in again) == list(range(ITEMS))
    tasks = tasks_of(client, source)
    assert len(tasks) == ITEMS
    assert {task.status() for task in tasks} == {TaskStatus.FINALIZED}


def test_many_threads_map_through_one_client(client: Client, source: str) -> None:
    def work(first: int) -> list[int]:
        items = [{"n": first + number} for number in range(5)]
        return [result["n"] for result in client.map(source, "echo", items, payment=PRICE)]

    threads = Threads(*(lambda first=first: work(first) for first in (0, 100, 200, 300)))
    assert sorted(threads.results()) == [[first + n for n in range(5)] for first in (0, 100, 200, 300)]
    assert len(tasks_of(client, source)) == 20
