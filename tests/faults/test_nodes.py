"""Hazards of several nodes for one chain: one that lags, one that is down, one of another chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.proxy import Fault, Proxy
from tests.support.stage import Case

from ogpu import Client
from ogpu.errors import WrongChain
from ogpu.rpc.heads import HEAD_PATIENCE
from ogpu.rpc.transport import RPC

SEND = "eth_sendRawTransaction"
FOR_EVER = 10_000


@pytest.fixture
def two(case: Case) -> Iterator[tuple[Proxy, Proxy]]:
    """Two ways to the same node, as two nodes."""
    with ExitStack() as stack:
        yield stack.enter_context(case.proxy()), stack.enter_context(case.proxy())


def ask(case: Case, nodes: tuple[Proxy, Proxy], story: Callable[[RPC], Awaitable[Any]]) -> Any:
    """What a story with a connection to both nodes returns."""

    async def main() -> Any:
        rpc = RPC([node.url for node in nodes], case.through().chain_id, timeout=5)
        try:
            return await story(rpc)
        finally:
            await rpc.close()

    return asyncio.run(main())


def test_a_send_goes_to_every_node(case: Case, two: tuple[Proxy, Proxy]) -> None:
    network = case.through(*(proxy.url for proxy in two))
    with Client(network, private_key=case.key) as client:
        client.publish_task(case.task("a"), idempotency_key="a")
    assert two[0].raw_sent == two[1].raw_sent
    assert len(set(two[0].raw_sent)) == 1
    case.check(["a"])


def test_a_send_that_one_node_loses_arrives_by_the_other(case: Case, two: tuple[Proxy, Proxy]) -> None:
    two[0].order(SEND, Fault.DROP_BEFORE, FOR_EVER)
    network = case.through(*(proxy.url for proxy in two))
    with Client(network, private_key=case.key) as client:
        client.publish_task(case.task("a"), idempotency_key="a")
    assert not two[0].raw_sent or two[1].raw_sent
    case.check(["a"])


def test_a_node_that_refuses_does_not_overrule_one_that_accepts(case: Case, two: tuple[Proxy, Proxy]) -> None:
    two[0].order(SEND, Fault.REFUSED, FOR_EVER)
    network = case.through(*(proxy.url for proxy in two))
    with Client(network, private_key=case.key) as client:
        client.publish_task(case.task("a"), idempotency_key="a")
    case.check(["a"])


def test_a_read_is_answered_by_the_next_node_when_one_is_down(case: Case, two: tuple[Proxy, Proxy]) -> None:
    two[0].order("*", Fault.DROP_BEFORE, FOR_EVER)
    head = ask(case, two, lambda rpc: rpc.call("eth_blockNumber"))
    assert int(head, 16) == case.block_number()


def test_a_head_that_is_older_than_one_seen_is_not_believed(case: Case, two: tuple[Proxy, Proxy]) -> None:
    """The first node tells the head and goes down for a while; the second lags behind."""
    case.mine(10)
    two[1].order("*", Fault.STALE_HEAD, FOR_EVER)

    async def story(rpc: RPC) -> list[int]:
        seen = [int(await rpc.call("eth_blockNumber"), 16)]
        for _ in range(3):
            two[0].order("*", Fault.BAD_GATEWAY_BEFORE)
            seen.append(int(await rpc.call("eth_blockNumber"), 16))
        return seen

    seen = ask(case, two, story)
    assert seen == [case.block_number()] * 4
    assert two[1].requests > 1, "the node that lags was never asked"


def test_a_chain_that_all_nodes_say_is_shorter_is_believed_after_a_while(
    case: Case, two: tuple[Proxy, Proxy]
) -> None:
    """They insist, as after a reorganisation to a shorter chain."""
    case.mine(10)

    async def story(rpc: RPC) -> tuple[int, int, float]:
        before = int(await rpc.call("eth_blockNumber"), 16)
        for proxy in two:
            proxy.order("*", Fault.STALE_HEAD, FOR_EVER)
        began = asyncio.get_running_loop().time()
        after = int(await rpc.call("eth_blockNumber"), 16)
        return before, after, asyncio.get_running_loop().time() - began

    before, after, waited = ask(case, two, story)
    assert after < before
    assert waited >= HEAD_PATIENCE


def test_a_node_of_another_chain_is_thrown_out_and_the_other_does_the_work(
    case: Case, two: tuple[Proxy, Proxy], caplog: pytest.LogCaptureFixture
) -> None:
    two[0].order("*", Fault.WRONG_CHAIN, FOR_EVER)
    network = case.through(*(proxy.url for proxy in two))
    with Client(network, private_key=case.key) as client:
        client.publish_task(case.task("a"), idempotency_key="a")
        asked = two[0].requests
        client.publish_task(case.task("b"), idempotency_key="b")
        assert two[0].requests == asked
    assert not two[0].raw_sent
    assert "chain 42" in caplog.text
    case.check(["a", "b"])


def test_with_no_node_of_the_chain_left_nothing_is_signed(case: Case, two: tuple[Proxy, Proxy]) -> None:
    for proxy in two:
        proxy.order("*", Fault.WRONG_CHAIN, FOR_EVER)
    network = case.through(*(proxy.url for proxy in two))
    with Client(network, private_key=case.key) as client, pytest.raises(WrongChain, match="42"):
        client.publish_task(case.task("a"), idempotency_key="a")
    assert not two[0].raw_sent
    assert not two[1].raw_sent
    with Client(case.through(), private_key=case.key) as client:
        client.publish_task(case.task("a"), idempotency_key="a")
    case.check(["a"])
