"""A task as a handle on its result: which response is taken, what is paid, and how it ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.bidders import answer, bid, bidders
from tests.support.calls import Threads
from tests.support.crash import Talk, child
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, source_info, through
from tests.support.proxy import proxied

from ogpu import AsyncClient, Client
from ogpu.content import cid_of, to_json
from ogpu.errors import (
    ContentInvalid,
    ContentTooLarge,
    ContentUnavailable,
    InvalidInput,
    NotClient,
    ResultInvalid,
    TaskCanceled,
    TaskExpired,
    UnsupportedCID,
    WaitTimeout,
)
from ogpu.sync import Task
from ogpu.types import Response, SourceStatus, TaskParams, TaskStatus


class Label(BaseModel):
    label: str


@dataclass
class Market:
    """A client, its source, and three providers registered to it."""

    network: RunningNetwork
    client: Client
    source: str
    providers: list[str]

    def task(self, **options: Any) -> Task:
        return self.client.submit(self.source, "label", {"text": "x"}, payment=PRICE, **options)

    def link(self, value: Any) -> str:
        return self.client.content.put_json(value)

    def answers(self, task: Task, *answers: tuple[int, Any, int]) -> None:
        """Providers by number answer in this order, each for its price."""
        for number, value, price in answers:
            answer(self.network, task.address, self.providers[number], self.link(value), price=price)

    def sent(self) -> int:
        """How many transactions the client has sent."""
        return int(self.network.rpc("eth_getTransactionCount", self.network.address(), "latest"), 16)


@pytest.fixture
def market(bare: RunningNetwork) -> Iterator[Market]:
    with Client() as client:
        source = client.publish_source(source_info())
        yield Market(bare, client, source, bidders(bare, source, 3))


# --- which response is taken


def test_the_first_answer_is_taken_and_paid_and_no_later_one(market: Market) -> None:
    task, before = market.task(), market.client.vault.balance_of(market.network.address())
    bid(market.network, task.address, *market.providers)
    market.answers(task, (2, {"label": "early"}, PRICE // 2), (0, {"label": "cheap"}, PRICE // 4))
    assert task.result(10, accept="first", model=Label) == Label(label="early")
    taken = task.snapshot()
    assert (taken.status, taken.winning_provider) == (TaskStatus.FINALIZED, market.providers[2])
    assert market.client.vault.balance_of(market.network.address()) == before + PRICE - PRICE // 2


def test_cheapest_waits_for_all_who_attempted_and_takes_the_lowest_price(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, *market.providers)
    market.answers(task, (0, {"label": "dear"}, PRICE), (1, {"label": "cheaper"}, PRICE // 2))
    with proxied(market.network.url) as proxy, Client(through(market.network, proxy.url)) as other:
        waiting = Threads(
            lambda: other.task(task.address).result(60, accept="cheapest", bidding=math.inf, model=Label)
        )
        seen = proxy.requests
        wait_until(lambda: proxy.requests >= seen + 12, what="some looks")
        market.answers(task, (2, {"label": "cheapest"}, PRICE // 4))
        assert waiting.results() == [Label(label="cheapest")]
    assert task.winning_provider() == market.providers[2]


def test_cheapest_waits_for_those_who_may_still_attempt_and_for_no_others(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "dear"}, PRICE))
    market.network.transact("Vault", "unbond", 10**18, sender=market.providers[2])  # it may not any more
    with proxied(market.network.url) as proxy, Client(through(market.network, proxy.url)) as other:
        waiting = Threads(lambda: other.task(task.address).result(60, accept="cheapest", bidding=math.inf))
        seen = proxy.requests
        wait_until(lambda: proxy.requests >= seen + 20, what="some looks")
        bid(market.network, task.address, market.providers[1])
        market.answers(task, (1, {"label": "cheap"}, PRICE // 2))
        assert waiting.results() == [{"label": "cheap"}]


@pytest.mark.parametrize(
    ("bidding", "timeout", "expires_in"),
    [(0.2, 60, 600), (math.inf, 0.2, 600), (math.inf, 60, 19)],
    ids=["bidding is over", "the time to wait is up", "it expires soon"],
)
def test_cheapest_decides_though_one_has_not_answered(
    market: Market, bidding: float, timeout: float, expires_in: int
) -> None:
    task = market.task(expires_in=expires_in)
    bid(market.network, task.address, *market.providers)
    market.answers(task, (0, {"label": "dear"}, PRICE), (1, {"label": "cheap"}, PRICE // 2))
    assert task.result(timeout, accept="cheapest", bidding=bidding) == {"label": "cheap"}


def test_a_function_sees_each_new_response_once_and_its_choice_is_taken(market: Market) -> None:
    task, shown = market.task(), []
    bid(market.network, task.address, *market.providers)
    market.answers(task, (0, {"label": "a"}, PRICE))

    def choose(responses: list[Response]) -> Response | None:
        shown.append([response.provider for response in responses])
        wanted = [response for response in responses if response.provider == market.providers[1]]
        return wanted[0] if wanted else None

    waiting = Threads(lambda: task.result(60, accept=choose))
    wait_until(lambda: shown, what="the first call")
    market.answers(task, (1, {"label": "b"}, PRICE))
    assert waiting.results() == [{"label": "b"}]
    assert shown == [market.providers[:1], market.providers[:2]]


class Undecided(Exception):
    """What a caller's own function raises."""


def test_what_a_function_raises_is_raised_and_nonsense_is_refused(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "a"}, PRICE))

    def fail(responses: list[Response]) -> Response | None:
        raise Undecided

    with pytest.raises(Undecided):
        task.result(10, accept=fail)
    for nonsense in ("first", 7, task.responses()):
        with pytest.raises(InvalidInput, match="one of the responses"):
            task.result(10, accept=lambda _, given=nonsense: given)
    assert task.status() is TaskStatus.RESPONDED


def test_what_cannot_be_used_is_passed_over_before_it_is_paid_for(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, *market.providers)
    answer(market.network, task.address, market.providers[0], "ipfs://no-cid")
    market.answers(task, (1, {"other": 1}, PRICE), (2, {"label": "good"}, PRICE))
    assert task.result(10, accept="first", model=Label).label == "good"
    assert task.winning_provider() == market.providers[2]


def test_when_no_answer_can_be_used_each_one_s_reason_is_told_and_none_is_paid(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, *market.providers)
    no_json = market.client.content.put_bytes(b"\xff no JSON", "response.json")
    for number, data in enumerate(("ipfs://no-cid", no_json, market.link({"other": 1}))):
        answer(market.network, task.address, market.providers[number], data)
    kinds = [UnsupportedCID, ContentInvalid, ResultInvalid]
    for accept in ("first", "cheapest", lambda responses: responses[0]):
        with pytest.raises(ResultInvalid, match="No response of task") as caught:
            task.result(10, accept=accept, model=Label)
        found = {response.provider: response.address for response in task.responses()}
        problems = [caught.value.problems[found[provider]] for provider in market.providers]
        assert [type(problem) for problem in problems] == kinds
        assert "label: Field required" in str(caught.value)
    assert task.status() is TaskStatus.RESPONDED


def test_after_an_answer_of_no_use_the_others_have_time_for_theirs(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    answer(market.network, task.address, market.providers[0], "ipfs://no-cid")
    with pytest.raises(ResultInvalid, match="nobody else has answered"):
        task.result(60, accept="first", bidding=0.3)
    with proxied(market.network.url) as proxy, Client(through(market.network, proxy.url)) as other:
        waiting = Threads(lambda: other.task(task.address).result(60, accept="first", bidding=math.inf))
        seen = proxy.requests
        wait_until(lambda: proxy.requests >= seen + 20, what="some looks")
        bid(market.network, task.address, market.providers[1])
        market.answers(task, (1, {"label": "good"}, PRICE))
        assert waiting.results() == [{"label": "good"}]


def test_a_result_that_is_too_large_to_be_held_is_of_no_use(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "x" * (8 * 1024 * 1024)}, PRICE))
    with pytest.raises(ResultInvalid) as caught:
        task.result(60, accept="first", bidding=0)
    assert [type(each) for each in caught.value.problems.values()] == [ContentTooLarge]


def test_a_confirmed_result_that_does_not_fit_is_its_own_error(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"other": 1}, PRICE))
    assert task.result(10, accept="first") == {"other": 1}
    with pytest.raises(ResultInvalid, match="is no Label: label: Field required") as caught:
        task.result(10, model=Label)
    assert caught.value.problems == {}


def test_content_that_comes_late_is_asked_for_again(market: Market) -> None:
    task, value = market.task(), {"label": "late"}
    bid(market.network, task.address, market.providers[0])
    there = market.link({"label": "other"})
    cid = str(cid_of(to_json(value)))
    answer(market.network, task.address, market.providers[0], f"{there.rpartition('/')[0]}/{cid}")
    with pytest.raises(ContentUnavailable):
        market.client.fetch_result(task.responses()[0])
    waiting = Threads(lambda: task.result(60, accept="first", model=Label))
    assert market.link(value).endswith(cid)
    assert waiting.results() == [Label(label="late")]


# --- confirming


def test_a_response_that_somebody_else_confirms_meanwhile_is_the_result(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, *market.providers[:2])
    market.answers(task, (0, {"label": "ours"}, PRICE), (1, {"label": "theirs"}, PRICE))

    def late(responses: list[Response]) -> Response | None:
        market.network.transact("Controller", "confirmResponse", responses[1].address)
        return responses[0]

    assert task.result(30, accept=late) == {"label": "theirs"}


def test_many_who_choose_differently_confirm_once_and_have_the_same_result(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, *market.providers)
    market.answers(task, *((number, {"label": f"{number}"}, PRICE // (number + 1)) for number in range(3)))
    before = market.sent()
    with Client() as other:
        there = other.task(task.address)
        threads = Threads(
            lambda: task.result(30, accept="first"),
            lambda: task.result(30, accept="cheapest"),
            lambda: there.result(30, accept="first"),
            lambda: there.result(30, accept=lambda responses: responses[1]),
        )
        results = threads.results()
    assert len({result["label"] for result in results}) == 1
    assert market.sent() == before + 1
    assert task.result(10, accept="cheapest") == results[0]


def test_an_agent_confirms_for_the_client_and_a_stranger_may_not(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "a"}, PRICE))
    monkeypatch.setenv("AGENT_PRIVATE_KEY", market.network.key("client", 1))
    with pytest.raises(NotClient):
        task.result(10, accept="first", role="agent")
    market.network.transact("Terminal", "setAgent", market.network.address("client", 1), True)
    before = market.sent()
    assert task.result(10, accept="first", role="agent") == {"label": "a"}
    assert market.sent() == before


# --- its end


def test_without_accept_a_confirmation_is_waited_for(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "a"}, PRICE))
    assert not task.wait(10).confirmed
    with pytest.raises(WaitTimeout, match=r"was confirmed within 0\.2 s.*accept='first'"):
        task.result(0.2)
    market.client.confirm_response(task.responses()[0].address)
    assert task.result(0) == {"label": "a"}
    assert task.wait(0).confirmed


def test_a_wait_that_is_given_up_says_how_to_come_back(market: Market) -> None:
    task = market.task()
    with pytest.raises(TimeoutError, match=f"client.task\\('{task.address}'\\)") as caught:
        task.result(0.1, accept="first")
    assert "explain() says who could" in str(caught.value)
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "a"}, PRICE))
    assert market.client.task(task.address).result(10, accept="first") == {"label": "a"}


def test_a_canceled_and_an_expired_task_raise_their_own_errors(market: Market) -> None:
    canceled, expired, unconfirmed = market.task(), market.task(expires_in=60), market.task(expires_in=60)
    canceled.cancel()
    with pytest.raises(TaskCanceled):
        canceled.result(10)
    bid(market.network, unconfirmed.address, market.providers[0])
    answer(market.network, unconfirmed.address, market.providers[0], "ipfs://no-cid")
    bid(market.network, unconfirmed.address, market.providers[1])
    market.network.rpc("evm_setNextBlockTimestamp", int(time.time()) + 100)
    market.network.rpc("anvil_mine")
    with pytest.raises(TaskExpired, match="unanswered: it is NEW"):
        expired.result(10)
    with pytest.raises(TaskExpired, match="unconfirmed: it is RESPONDED"):
        unconfirmed.result(10)
    with pytest.raises(ResultInvalid, match="and it expired") as caught:
        unconfirmed.result(10, accept="first")
    assert len(caught.value.problems) == 1
    market.client.vault.force_release_payment(expired.address, role="client")
    with pytest.raises(TaskExpired, match="payment went back"):
        expired.result(10)


def test_a_task_is_over_by_the_chain_s_clock_and_not_by_ours(market: Market) -> None:
    now = int(time.time()) - 600  # ours is ten minutes ahead
    market.network.rpc("evm_setTime", now)
    market.network.rpc("anvil_mine")
    config = market.link({"function_name": "label", "data": {}})
    params = TaskParams(market.source, config, now + 300, PRICE)
    task = market.client.task(market.client.controller.publish_task(params))
    assert task.explain().expires_in > 200
    waiting = Threads(lambda: task.result(60, accept="first"))
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "in time"}, PRICE))
    assert waiting.results() == [{"label": "in time"}]


def test_a_task_that_is_over_on_an_idle_chain_is_over_though_no_block_says_so(market: Market) -> None:
    task = market.task(expires_in=2)
    with pytest.raises(TaskExpired):
        task.result(60)


def test_a_task_and_its_responses_are_read_at_one_block(market: Market) -> None:
    task = market.task()
    bid(market.network, task.address, market.providers[0])
    market.answers(task, (0, {"label": "a"}, PRICE))
    with proxied(market.network.url) as proxy, Client(through(market.network, proxy.url)) as other:

        def mine(method: str) -> None:
            if method == "eth_call":
                market.network.rpc("anvil_mine")

        proxy.hold_after = mine
        assert other.task(task.address).wait(0).provider == market.providers[0]
    blocks = {call["params"][1] for call in proxy.calls if call["method"] == "eth_call"}
    assert len(blocks) == 1


def publish_elsewhere(talk: Talk, source: str) -> str:
    """What another process does: it publishes, and ends."""
    with Client() as client:
        return client.submit(
            source, "label", {"text": "x"}, payment=PRICE, idempotency_key="elsewhere"
        ).address


def test_a_task_is_made_again_from_its_address_in_another_process(market: Market) -> None:
    addresses = set()
    for _ in range(2):
        with child(publish_elsewhere, market.source) as running:
            addresses.add(running.receive())
            assert running.wait() == 0
    (address,) = addresses  # by its key it was published once
    bid(market.network, address, market.providers[0])
    task = market.client.task(address)
    market.answers(task, (0, {"label": "a"}, PRICE))
    assert task.result(10, accept="first") == {"label": "a"}


def test_awaiting_a_task_gives_its_result_and_many_are_waited_for_in_few_requests(market: Market) -> None:
    async def story() -> None:
        with proxied(market.network.url) as proxy:
            async with AsyncClient(through(market.network, proxy.url)) as client:
                source = market.source
                calls = [client.submit(source, "f", {"n": n}, payment=10**15) for n in range(30)]
                tasks = await asyncio.gather(*calls)
                before = proxy.requests
                late = await asyncio.gather(*(task.result(1) for task in tasks), return_exceptions=True)
                assert {type(error) for error in late} == {WaitTimeout}
                assert proxy.requests - before < 60  # of about ten looks at each of the thirty
                first, provider = tasks[0], market.providers[0]
                bid(market.network, first.address, provider, price=10**15)
                data = market.client.content.put_json({"label": "a"})
                answer(market.network, first.address, provider, data, price=10**15)
                await client.confirm_response((await tasks[0].responses())[0].address)
                assert await tasks[0] == {"label": "a"}

    asyncio.run(story())


# --- why nobody takes it


def test_a_task_explains_why_nobody_takes_it(bare: RunningNetwork) -> None:
    with Client() as client:
        source = client.publish_source(source_info(minAvailableLockup=0))
        task = client.submit(source, "label", {}, payment=PRICE, expires_in=50)
        alone = task.explain()
        assert alone.reasons[0] == "no provider is registered to the source"
        assert any(reason.startswith("it expires in ") for reason in alone.reasons)

        (provider,) = bidders(bare, source, 1)
        (registrant,) = task.explain().registrants
        assert (registrant.provider, registrant.able, registrant.attempted) == (provider, True, False)
        assert (registrant.lockup, registrant.lockup_needed) == (10**19, 10**19)
        assert task.explain().reasons[0].startswith("1 provider could take it")

        bare.transact("Vault", "unbond", 10**18, sender=provider)
        poor = task.explain()
        assert not poor.registrants[0].able
        assert poor.reasons[0] == "no provider that is registered to the source may take it"
        assert f"provider {provider} is not eligible: its lockup is 9 OGPU" in poor.reasons[1]
        bare.transact("Vault", "deposit", provider, sender=provider, value=10**18)
        bare.transact("Vault", "lock", 10**18, sender=provider)

        bid(bare, task.address, provider, price=PRICE // 2)
        (attempt,) = task.explain().bids
        assert (attempt.provider, attempt.price, attempt.response) == (provider, PRICE // 2, None)
        assert task.explain().reasons[0] == "1 provider attempted it: at work on it, or failed"

        answer(bare, task.address, provider, "ipfs://answer", price=PRICE // 4)
        client.source(source).inactivate()
        said = task.explain()
        assert said.reasons[0] == "it has 1 response, and waits for its client to confirm one"
        assert said.source.status is SourceStatus.INACTIVE
        assert "the source is inactive: providers may have left it" in said.reasons
        text = str(said)
        assert "suggested 0.005 OGPU" in text
        assert "answered, and asks 0.0025 OGPU" in text
        client.confirm_response(task.responses()[0].address)
        assert task.explain().reasons == (f"it is done: the response of {provider} was confirmed",)
