"""`NetworkExecutor`: programs written for an executor of the standard library run on the network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, source_info, through

from ogpu import Client, NetworkExecutor
from ogpu.errors import (
    BudgetExceeded,
    InvalidInput,
    NotJSON,
    OGPUError,
    PaymentTooLow,
    ResultInvalid,
    TaskCanceled,
    WaitTimeout,
)
from ogpu.types import TaskStatus


class Text(BaseModel):
    text: str


class Sentiment(BaseModel):
    label: str
    score: float


def echo(data: Text) -> Text:
    """Runs nowhere: the name is what counts."""
    raise AssertionError("it was run here")


def analyze_sentiment(text: str) -> Sentiment:
    """The same, with the fields of the data as parameters."""
    raise AssertionError("it was run here")


@pytest.fixture(scope="module")
def source(working_network: RunningNetwork) -> str:
    network, key = through(working_network, working_network.url), working_network.key()
    with Client(network, private_key=key, journal=":memory:") as client:
        return client.publish_source(source_info())


@pytest.fixture
def client(working: RunningNetwork) -> Iterator[Client]:
    with Client() as opened:
        yield opened


def words_in_threads(pool: futures.Executor) -> list[str]:
    """A program that knows nothing of the network."""
    begun = {pool.submit(echo, Text(text=word)): word for word in ("a", "b", "c", "d")}
    found = [future.result().text for future in futures.as_completed(begun)]
    return sorted(found) + [each.text for each in pool.map(echo, [Text(text="e"), Text(text="f")])]


def test_a_program_for_a_thread_pool_runs_with_one_line_changed(working: RunningNetwork, source: str) -> None:
    with NetworkExecutor(None, source, payment=PRICE) as pool:
        assert words_in_threads(pool) == ["a", "b", "c", "d", "e", "f"]


def test_names_and_functions_models_and_arguments(client: Client, source: str) -> None:
    with NetworkExecutor(client, source, payment=PRICE) as pool:
        by_name = pool.submit("echo", n=1, text="x")
        by_dictionary = pool.submit("echo", {"deep": [{"er": None}]})
        by_model = pool.submit(echo, Text(text="y"))
        by_parameter = pool.submit(analyze_sentiment, "What a wonderful day!")
        part = pool.submit(partial(analyze_sentiment, text="How sad and terrible."))
        assert by_name.result(30) == {"n": 1, "text": "x"}
        assert by_dictionary.result(30) == {"deep": [{"er": None}]}
        assert by_model.result(30) == Text(text="y")
        assert by_parameter.result(30).label == "positive"
        assert isinstance(part.result(30), Sentiment)
        assert by_model.task is not None
        assert client.get_task(by_model.task).status is TaskStatus.FINALIZED
        for wrong in (lambda: pool.submit("echo", 1), lambda: pool.submit(lambda data: data, {"n": 1})):
            with pytest.raises(InvalidInput):
                wrong()
        with pytest.raises(TypeError):
            pool.submit(analyze_sentiment, "too", "many")  # type: ignore[call-overload]


def not_that(data: Text) -> Sentiment:
    """What its name's namesake on the network does not give."""
    raise AssertionError("it was run here")


def test_what_goes_wrong_is_the_future_s_exception(client: Client, source: str) -> None:
    not_that.__name__ = "echo"
    with NetworkExecutor(client, source, payment=PRICE) as pool:
        assert isinstance(pool.submit(not_that, Text(text="x")).exception(30), ResultInvalid)
        assert isinstance(pool.submit("echo", {"n": object()}).exception(30), NotJSON)
    with NetworkExecutor(client, source, payment=1) as cheap:
        assert isinstance(cheap.submit("echo", n=1).exception(30), PaymentTooLow)
    with NetworkExecutor(client, source, payment=PRICE, timeout=0.1) as hasty:
        late = hasty.submit("nobody_has_it", n=1)
        assert isinstance(late.exception(30), WaitTimeout)
        assert late.task is not None
        assert client.task(late.task).status() is TaskStatus.NEW  # it goes on, until it is canceled
        client.task(late.task).cancel()
    with NetworkExecutor(client, source, payment=PRICE, budget=PRICE) as poor:
        assert isinstance(poor.submit("echo", n=1).exception(30), BudgetExceeded)


def test_a_future_can_be_canceled_until_it_is_published(client: Client, source: str) -> None:
    before = client.get_source(source).task_count
    pool = NetworkExecutor(client, source, payment=PRICE, in_flight=1, timeout=3)
    running = pool.submit("nobody_has_it", n=1)
    waiting = pool.submit("echo", n=2)
    wait_until(lambda: running.task, what="its publication")
    assert waiting.cancel()
    assert not running.cancel()
    with pytest.raises(futures.CancelledError):
        waiting.result()
    dropped = pool.submit("echo", n=3)
    pool.shutdown(wait=True, cancel_futures=True)
    assert dropped.cancelled()
    assert isinstance(running.exception(0), WaitTimeout)
    assert client.get_source(source).task_count == before + 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit("echo", n=4)
    assert client.get_source(source).address == source  # the client that it was given is still open


def test_shutting_down_without_waiting_lets_what_was_submitted_end(
    working: RunningNetwork, source: str
) -> None:
    pool = NetworkExecutor(None, source, payment=PRICE)
    begun = [pool.submit(echo, Text(text=str(number))) for number in range(3)]
    pool.shutdown(wait=False)
    done, left = futures.wait(begun, timeout=30)
    assert not left
    assert sorted(future.result().text for future in done) == ["0", "1", "2"]


def test_it_works_from_asyncio(client: Client, source: str) -> None:
    async def story(pool: NetworkExecutor) -> None:
        loop = asyncio.get_running_loop()
        first = loop.run_in_executor(pool, echo, Text(text="a"))
        second = asyncio.wrap_future(pool.submit(echo, Text(text="b")))
        assert [each.text for each in await asyncio.gather(first, second)] == ["a", "b"]

    with NetworkExecutor(client, source, payment=PRICE) as pool:
        asyncio.run(story(pool))


def test_no_more_than_in_flight_are_published_at_a_time(client: Client, working: RunningNetwork) -> None:
    source = client.publish_source(source_info())
    with NetworkExecutor(client, source, payment=PRICE, in_flight=2) as pool:
        begun = [pool.submit("nobody_has_it", n=number) for number in range(5)]
        for last in (2, 4, 5):
            wait_until(lambda last=last: sum(future.task is not None for future in begun) == last, what="two")
            assert client.get_source(source).task_count == last
            assert [future.running() for future in begun[last:]] == [False] * (5 - last)
            for future in begun[last - (2 if last < 5 else 1) : last]:
                client.task(str(future.task)).cancel()
        assert {type(future.exception(30)) for future in begun} == {TaskCanceled}


def test_the_keys_of_what_is_submitted_hold_over_executors(client: Client, source: str) -> None:
    tasks = []
    for _ in range(2):
        with NetworkExecutor(client, source, payment=PRICE, idempotency_key="executor-1") as pool:
            begun = [pool.submit("echo", n=number) for number in range(3)]
            assert [future.result(30) for future in begun] == [{"n": number} for number in range(3)]
            tasks.append([future.task for future in begun])
    assert tasks[0] == tasks[1]
    assert len(set(tasks[0])) == 3


def test_the_keys_of_an_executor_a_map_and_a_run_are_apart(client: Client, source: str) -> None:
    with NetworkExecutor(client, source, payment=PRICE, idempotency_key="apart") as pool:
        assert pool.submit("echo", n=1).result(30) == {"n": 1}
    items = [{"n": number} for number in range(2)]
    assert list(client.map(source, "echo", items, payment=PRICE, idempotency_key="apart")) == items
    for key in ("apart", "apart/0"):
        assert client.run(source, "echo", {"n": 3}, payment=PRICE, idempotency_key=key) == {"n": 3}


def test_an_executor_that_cannot_be_made_leaves_no_client_behind(
    working: RunningNetwork, source: str
) -> None:
    before = threading.active_count()
    for wrong in ({"payment": -1}, {"payment": PRICE, "accept": "best"}, {"payment": PRICE, "role": "x"}):
        with pytest.raises(OGPUError):
            NetworkExecutor(None, source, **wrong)
    assert threading.active_count() == before


def test_a_callback_may_submit_the_next_one(client: Client, source: str) -> None:
    with NetworkExecutor(client, source, payment=PRICE) as pool:
        last: futures.Future[Any] = futures.Future()

        def then(future: futures.Future[Text]) -> None:
            pool.submit(echo, Text(text=future.result().text + "b")).add_done_callback(
                lambda done: last.set_result(done.result().text)
            )

        pool.submit(echo, Text(text="a")).add_done_callback(then)
        assert last.result(30) == "ab"
