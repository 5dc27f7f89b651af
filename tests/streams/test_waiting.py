"""Waiting for a task by its events: few looks while nothing happens, one at once when something does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from tests.support.bidders import answer, bid, bidders
from tests.support.calls import Threads
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, core_of, source_info, task_info, through
from tests.support.proxy import Fault, Proxy, proxied
from tests.support.watching import nobody_watches, streams_of

from ogpu import Client
from ogpu.errors import TaskExpired
from ogpu.types import Response

POLL = 0.02  # seconds between two looks for a block


@dataclass
class Waiter:
    """Somebody who waits for a task through a proxy, and a provider that has not answered it."""

    network: RunningNetwork
    proxy: Proxy
    client: Client
    task: str
    provider: str
    waiting: Threads[Response]

    def heads(self) -> int:
        """How often the newest block was asked for."""
        asked = (call["params"][:1] for call in self.proxy.calls if call["method"] == "eth_getBlockByNumber")
        return sum(params == ["latest"] for params in asked)

    def later(self, looks: int) -> None:
        """Wait for so many looks for a new block."""
        now = self.heads()
        wait_until(lambda: self.heads() >= now + looks, what="looks for a block")


@contextmanager
def waiting(bare: RunningNetwork, fault: Fault | None = None) -> Iterator[Waiter]:
    """Somebody who waits, on a node that may not give logs."""
    with Client(through(bare, bare.url)) as own:
        source = own.publish_source(source_info())
        (provider,) = bidders(bare, source, 1)
        task = own.publish_task(task_info(source))
    with (
        proxied(bare.url) as proxy,
        Client(replace(through(bare, proxy.url), ws_urls=())) as client,
    ):
        streams = streams_of(core_of(client))
        streams.poll, streams.patience = POLL, POLL
        if fault is not None:
            proxy.order("eth_getLogs", fault, 10**6)
        waiting = Threads(lambda: client.task(task).wait(60))
        wait_until(lambda: proxy.methods["eth_getLogs"], what="a look at events")
        yield Waiter(bare, proxy, client, task, provider, waiting)
        wait_until(lambda: nobody_watches(streams), what="the end of the stream")


def test_while_nothing_happens_the_task_is_not_looked_at_and_its_events_wake_the_wait(
    bare: RunningNetwork,
) -> None:
    with waiting(bare) as waiter:
        waiter.later(20)  # it has looked once more when it had begun to listen
        calls = waiter.proxy.methods["eth_call"]
        waiter.later(40)
        assert waiter.proxy.methods["eth_call"] == calls
        bid(bare, waiter.task, waiter.provider)
        answer(bare, waiter.task, waiter.provider, "ipfs://answer", price=PRICE)
        before = waiter.heads()
        (response,) = waiter.waiting.results()
        assert response.provider == waiter.provider
        assert waiter.heads() - before < 200  # it would have looked after 15 s, which are more


def test_the_chain_s_time_wakes_the_wait_when_the_task_expires(bare: RunningNetwork) -> None:
    with waiting(bare) as waiter:
        waiter.later(20)
        bare.rpc("evm_increaseTime", 2 * 3600)
        bare.rpc("evm_mine")
        before = waiter.heads()
        (outcome,) = waiter.waiting.outcomes()
        assert isinstance(outcome, TaskExpired)
        assert waiter.heads() - before < 200


@pytest.mark.parametrize("fault", [Fault.NO_METHOD, Fault.BAD_GATEWAY_BEFORE])
def test_where_no_events_can_be_had_the_task_is_looked_at_as_before(
    bare: RunningNetwork, fault: Fault
) -> None:
    with waiting(bare, fault) as waiter:
        bid(bare, waiter.task, waiter.provider)
        answer(bare, waiter.task, waiter.provider, "ipfs://answer", price=PRICE)
        (response,) = waiter.waiting.results()
        assert response.provider == waiter.provider
