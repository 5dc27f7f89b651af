"""Batches of reads to nodes that take fewer, answer less, forget, or slow down, before a real node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.support.gateways import (
    Gateway,
    Refusal,
    besu,
    drpc,
    erigon,
    geth,
    nethermind,
    nginx,
    no_batches,
    proxyd,
    reth,
    silent,
    unhealthy,
)
from tests.support.proxy import Fault, Proxy
from tests.support.stage import Case

from ogpu.errors import (
    NetworkError,
    RPCAnswerTooLarge,
    RPCFailed,
    RPCInvalidResponse,
    RPCRateLimited,
    RPCUnreachable,
)
from ogpu.rpc import node as nodes
from ogpu.rpc import reading, transport
from ogpu.rpc.node import retry_after
from ogpu.rpc.sizes import FIRST_SIZE as SIZE
from ogpu.rpc.transport import RPC, Request, raised

IDENTITY = "0x" + "4".rjust(40, "0")  # the precompile that answers what it is given
BIG = "0x" + "b16".rjust(40, "0")
Story = Callable[[RPC], Awaitable[Any]]


def echoes(count: int, block: str) -> list[Request]:
    """Reads of which each has another answer: its position."""
    return [("eth_call", [{"to": IDENTITY, "data": f"0x{n:064x}"}, block]) for n in range(count)]


def big(size: int, block: str) -> Request:
    """A read that is answered with so many bytes, which are two characters each."""
    code = f"0x62{size:06x}5ff3"  # PUSH3 size, PUSH0, RETURN
    return ("eth_call", [{"to": BIG, "data": "0x"}, block, {BIG: {"code": code}}])


@pytest.fixture
def proxy(case: Case) -> Iterator[Proxy]:
    with case.proxy() as running:
        yield running


@pytest.fixture
def block(case: Case) -> str:
    return hex(case.block_number())


def ask(case: Case, story: Story, *proxies: Proxy) -> Any:
    """What a story with a connection through the proxies returns."""

    async def main() -> Any:
        rpc = RPC([proxy.url for proxy in proxies], case.through().chain_id, timeout=10)
        try:
            return await story(rpc)
        finally:
            await rpc.close()

    return asyncio.run(main())


def read(case: Case, proxy: Proxy, count: int, block: str) -> int:
    """Read so many values, see that each is the right one, and count the requests besides the chain id's."""
    answers = ask(case, lambda rpc: rpc.batch(echoes(count, block)), proxy)
    assert [int(answer, 16) for answer in answers] == list(range(count))
    return proxy.requests - 1


@pytest.mark.parametrize(
    ("count", "requests"), [(1, 1), (501, 1), (SIZE - 1, 1), (SIZE, 1), (SIZE + 1, 2), (4 * SIZE, 4)]
)
def test_reads_are_as_few_requests_as_can_be(
    case: Case, proxy: Proxy, block: str, count: int, requests: int
) -> None:
    assert read(case, proxy, count, block) == requests
    assert proxy.methods["eth_chainId"] == 1


@pytest.mark.parametrize(
    ("refuse", "count", "requests"),
    [
        (erigon, 1, 1),
        (erigon, 499, 1 + 5),
        (erigon, 500, 1 + 5),
        (erigon, 501, 1 + 6),
        (erigon, 4000, 1 + 40),
        (reth, 4000, 1 + 40),
    ],
)
def test_a_limit_that_a_node_names_is_run_into_once(
    case: Case, proxy: Proxy, block: str, refuse: Refusal, count: int, requests: int
) -> None:
    proxy.gateway = Gateway(limit=100, refuse=refuse)
    assert read(case, proxy, count, block) == requests


@pytest.mark.parametrize(
    ("refuse", "count", "requests"),
    [
        (geth, 1, 1),
        (geth, 499, 2 + 5),  # of 499, 249, and then at most 124
        (geth, 500, 2 + 4),
        (geth, 501, 2 + 5),
        *((refuse, 4000, 3 + 32) for refuse in (geth, nethermind, besu, proxyd, nginx)),
    ],
)
def test_a_limit_that_a_node_does_not_name_is_found_by_halves(
    case: Case, proxy: Proxy, block: str, refuse: Refusal, count: int, requests: int
) -> None:
    proxy.gateway = Gateway(limit=125, refuse=refuse)
    assert read(case, proxy, count, block) == requests


@pytest.mark.parametrize(
    ("limit", "refuse", "count", "requests"),
    [
        (3, drpc, 500, 1 + 167),
        (3, drpc, 4000, 1 + 1334),
        (1, no_batches, 1, 1),
        (1, no_batches, 499, 1 + 499),
        (1, no_batches, 500, 1 + 500),
        (1, no_batches, 501, 1 + 501),
        (1, no_batches, 4000, 1 + 4000),
        (1, silent, 499, 8 + 499),
    ],
)
def test_a_node_that_takes_next_to_no_batches_works_too(
    case: Case, proxy: Proxy, block: str, limit: int, refuse: Refusal, count: int, requests: int
) -> None:
    proxy.gateway = Gateway(limit=limit, refuse=refuse)
    assert read(case, proxy, count, block) == requests


def test_what_was_learned_is_not_asked_for_again(case: Case, proxy: Proxy, block: str) -> None:
    proxy.gateway = Gateway(limit=100, refuse=geth)

    async def story(rpc: RPC) -> int:
        await rpc.batch(echoes(500, block))
        before = proxy.requests
        await rpc.batch(echoes(500, block))
        return proxy.requests - before

    assert ask(case, story, proxy) == 9  # of at most 62
    assert max(proxy.sizes[-9:]) == 62


@pytest.mark.parametrize(
    "fault", [Fault.DROP_BEFORE, Fault.RESET_AFTER, Fault.BAD_GATEWAY_BEFORE, Fault.TRUNCATED, Fault.TOO_MANY]
)
def test_a_failure_on_the_way_does_not_make_batches_smaller(
    case: Case, proxy: Proxy, block: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)

    async def story(rpc: RPC) -> list[Any]:
        proxy.order("eth_call", fault, 2)
        return await rpc.batch(echoes(2 * SIZE, block))

    assert [int(answer, 16) for answer in ask(case, story, proxy)] == list(range(2 * SIZE))
    assert {size for size in proxy.sizes if size > 1} == {SIZE}


def test_a_service_in_trouble_is_not_one_that_takes_no_batches(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)

    async def story(rpc: RPC) -> list[Any]:
        proxy.gateway = Gateway(limit=1, refuse=unhealthy)
        with pytest.raises(RPCInvalidResponse):
            await rpc.batch(echoes(2 * SIZE, block))
        proxy.gateway = Gateway()
        return await rpc.batch(echoes(2 * SIZE, block))

    assert [int(answer, 16) for answer in ask(case, story, proxy)] == list(range(2 * SIZE))
    assert {size for size in proxy.sizes if size > 1} == {SIZE}


def test_several_batches_are_on_their_way_but_not_many(case: Case, proxy: Proxy, block: str) -> None:
    """Each batch waits at the node until four are there."""
    proxy.gateway = Gateway(limit=50, refuse=erigon)
    four = threading.Barrier(transport.IN_FLIGHT, timeout=10)
    here: set[threading.Thread] = set()
    left: list[str] = []
    on_the_way: list[int] = []

    def arrive(method: str) -> None:
        if threading.current_thread() not in here:
            here.add(threading.current_thread())
            on_the_way.append(len(here) - len(left) // 50)
            four.wait()

    async def story(rpc: RPC) -> list[Any]:
        await rpc.batch(echoes(51, block))  # it is known from then on that 50 are taken
        proxy.hold, proxy.hold_after = arrive, left.append
        return await rpc.batch(echoes(8 * 50, block))

    assert [int(answer, 16) for answer in ask(case, story, proxy)] == list(range(400))
    assert max(on_the_way) == transport.IN_FLIGHT


@pytest.mark.parametrize("count", [2, 499, 4000])
def test_answers_in_another_order_are_given_to_their_own_requests(
    case: Case, proxy: Proxy, block: str, count: int
) -> None:
    proxy.gateway = Gateway(shuffles=True)
    assert read(case, proxy, count, block) == -(-count // SIZE)


def test_an_answer_that_was_left_out_is_asked_for_again(case: Case, proxy: Proxy, block: str) -> None:
    proxy.gateway = Gateway(lost=10)
    assert read(case, proxy, 500, block) == 4  # of 500, 50, 5 and 1
    assert proxy.sizes[1:] == [500, 50, 5, 1]


def test_of_two_answers_to_one_request_neither_is_believed(case: Case, proxy: Proxy, block: str) -> None:
    proxy.gateway = Gateway(doubled=10, shuffles=True)
    assert read(case, proxy, 500, block) == 4


@pytest.mark.parametrize("lost", [1, 2])
def test_a_node_that_leaves_out_answers_for_ever_is_given_up(
    case: Case, proxy: Proxy, block: str, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    proxy.gateway = Gateway(lost=lost)
    with pytest.raises(RPCInvalidResponse, match="left out"):
        read(case, proxy, 500, block)
    assert proxy.requests <= 1 + (1 + reading.MOST_GAPS) * transport.READ_ROUNDS


@pytest.mark.parametrize(
    ("gateway", "error", "rounds"),
    [
        (Gateway(lost=10), RPCInvalidResponse, transport.READ_ROUNDS),
        (Gateway(quota=10), RPCRateLimited, transport.RATE_ROUNDS),
    ],
)
def test_reads_of_one_time_are_not_mixed_from_two(
    case: Case,
    proxy: Proxy,
    block: str,
    gateway: Gateway,
    error: type[NetworkError],
    rounds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the latest block among them they are asked for again as a whole."""
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(transport, "LONGEST_PAUSE", 0.01)
    proxy.gateway = gateway
    with pytest.raises(error):
        ask(case, lambda rpc: rpc.batch([("eth_blockNumber", []), *echoes(20, block)]), proxy)
    assert proxy.sizes[1:] == [21] * rounds


def test_a_big_answer_is_asked_for_in_parts(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "MAX_ANSWER_BYTES", 1_000_000)
    requests = [big(10_000 + n, block) for n in range(200)]  # 4 MB of answers

    answers = ask(case, lambda rpc: rpc.batch(requests), proxy)
    assert [len(answer) for answer in answers] == [2 + 2 * (10_000 + n) for n in range(200)]
    assert proxy.sizes[1:] == [200, 100, 50, 25, *[25] * 7]


def test_a_node_s_own_limit_on_answers_is_kept_to(case: Case, proxy: Proxy, block: str) -> None:
    proxy.gateway = Gateway(answer_limit=1_000_000)
    requests = [big(10_000 + n, block) for n in range(200)]

    answers = ask(case, lambda rpc: rpc.batch(requests), proxy)
    assert [len(answer) for answer in answers] == [2 + 2 * (10_000 + n) for n in range(200)]
    assert len(proxy.sizes) <= 1 + 4  # of 4 MB


def test_one_answer_that_is_too_large_is_an_error_that_names_the_limit_and_the_others_are_read(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "MAX_ANSWER_BYTES", 100_000)
    requests = [*echoes(40, block), big(60_000, block), *echoes(40, block)]

    answers = ask(case, lambda rpc: rpc.batch(requests), proxy)
    failed = answers.pop(40)
    assert isinstance(failed, RPCAnswerTooLarge)
    assert failed.facts["limit"] == 100_000
    assert "100000" in str(failed)
    assert not failed.retryable
    assert [int(answer, 16) for answer in answers] == [*range(40), *range(40)]


def test_a_node_whose_answers_are_all_too_large_is_not_asked_for_ever(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "MAX_ANSWER_BYTES", 1_000)
    with pytest.raises(RPCAnswerTooLarge):
        ask(case, lambda rpc: rpc.batch([big(1_000, block)] * 300), proxy)
    assert proxy.requests <= 2 + reading.MOST_TOO_LARGE


def test_what_a_rate_limit_leaves_of_a_batch_is_asked_for_a_little_later(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reading, "LONGEST_PAUSE", 0.01)
    proxy.gateway = Gateway(quota=60)
    assert read(case, proxy, 200, block) == 4
    assert proxy.sizes[1:] == [200, 140, 80, 20]


def test_a_rate_limit_without_an_end_is_its_own_error(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(transport, "LONGEST_PAUSE", 0.01)
    proxy.gateway = Gateway(quota=0)
    with pytest.raises(RPCRateLimited, match="slow down"):
        read(case, proxy, 200, block)
    assert proxy.sizes[1:] == [200] * transport.RATE_ROUNDS


def test_a_node_is_left_alone_for_as_long_as_it_asks(case: Case, proxy: Proxy, block: str) -> None:
    proxy.throttle, proxy.retry_after = 1, "1"

    async def story(rpc: RPC) -> float:
        began = asyncio.get_running_loop().time()
        await rpc.batch(echoes(3, block))
        return asyncio.get_running_loop().time() - began

    assert ask(case, story, proxy) >= 1
    assert proxy.requests == 3


def test_a_wish_that_is_too_long_is_an_error_at_once(case: Case, proxy: Proxy, block: str) -> None:
    proxy.throttle, proxy.retry_after = 1, "3600"
    with pytest.raises(RPCRateLimited) as caught:
        read(case, proxy, 3, block)
    assert caught.value.facts["retry_after"] == 3600
    assert proxy.requests == 1


def test_another_node_is_asked_at_once_when_one_slows_down(case: Case, proxy: Proxy, block: str) -> None:
    with case.proxy() as other:
        proxy.throttle, proxy.retry_after = 100, "3600"
        answers = ask(case, lambda rpc: rpc.batch(echoes(SIZE + 200, block)), proxy, other)
    assert [int(answer, 16) for answer in answers] == list(range(SIZE + 200))
    assert other.sizes == [1, SIZE, 200]


def test_each_node_has_its_own_size(case: Case, proxy: Proxy, block: str) -> None:
    """The first goes down in the middle; the second takes less at once."""
    with case.proxy() as other:
        other.gateway = Gateway(limit=100, refuse=erigon)
        proxy.order("eth_call", Fault.DROP_BEFORE, 10_000, skip=1)
        answers = ask(case, lambda rpc: rpc.batch(echoes(2 * SIZE, block)), proxy, other)
    assert [int(answer, 16) for answer in answers] == list(range(2 * SIZE))
    assert other.sizes == [1, SIZE, *[100] * (SIZE // 100)]
    assert set(proxy.sizes) == {1, SIZE}


def test_the_first_failure_ends_the_other_batches_of_a_call(
    case: Case, proxy: Proxy, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    proxy.order("eth_call", Fault.DROP_BEFORE, 10_000, skip=1)
    with pytest.raises(RPCUnreachable):
        ask(case, lambda rpc: rpc.batch(echoes(20 * SIZE, block)), proxy)
    assert proxy.requests <= 2 + transport.IN_FLIGHT * transport.READ_ROUNDS * 2  # of 59


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DROP_BEFORE, RPCUnreachable),
        (Fault.HTML, RPCInvalidResponse),
        (Fault.TOO_MANY, RPCRateLimited),
        (Fault.NO_METHOD, RPCFailed),
    ],
)
def test_each_kind_of_failure_is_its_own_error_that_says_what_to_do_and_hides_the_url(
    case: Case,
    proxy: Proxy,
    block: str,
    fault: Fault,
    error: type[NetworkError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(transport, "LONGEST_PAUSE", 0.01)
    proxy.retry_after = "0"
    proxy.url += "/token-canary?key=canary"
    proxy.order("eth_call", fault, 10_000)
    with pytest.raises(NetworkError) as caught:
        raised(ask(case, lambda rpc: rpc.batch(echoes(3, block)), proxy)[0])
    assert type(caught.value) is error
    assert caught.value.hint
    assert "canary" not in str(caught.value) + repr(caught.value)


def test_a_refused_batch_of_sends_says_nothing_of_the_first_of_them(case: Case, proxy: Proxy) -> None:
    """geth gives its refusal of the batch the id of its first request."""
    proxy.gateway = Gateway(limit=30, refuse=geth)
    answers = ask(case, lambda rpc: rpc.broadcast([bytes([n]) for n in range(120)]), proxy)
    assert not [answer for (answer,) in answers if "batch" in str(answer)]
    assert all(isinstance(answer, RPCFailed) for (answer,) in answers)
    assert proxy.sizes[1:] == [100, 50, 25, 25, 25, 25, 20]


def test_sends_stay_in_batches_of_a_hundred(case: Case, proxy: Proxy) -> None:
    ask(case, lambda rpc: rpc.broadcast([bytes([n]) for n in range(250)]), proxy)
    assert proxy.sizes[1:] == [100, 100, 50]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("-7", None),
        ("7.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 5000, None),
        ("Wed, 21 Oct 2015 07:28:00", None),
    ],
)
def test_a_header_of_a_stranger_is_a_number_or_nothing(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, datetime.now(UTC)) == seconds


def test_a_header_may_name_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after(format_datetime(now + timedelta(seconds=5), usegmt=True), now) == 5
    assert retry_after(format_datetime(now - timedelta(seconds=5), usegmt=True), now) == 0
