"""Past events of a contract through nodes that limit what they look through."""

from __future__ import annotations

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import source_info, through
from tests.support.proxy import Proxy, proxied

from ogpu import Client
from ogpu.client import publish_source
from ogpu.errors import InvalidInput, RPCFailed
from ogpu.events import Deposited, SourcePublished


def published(network: RunningNetwork, proxy: Proxy) -> list[str]:
    with Client(through(network, proxy.url), journal=":memory:") as client:
        return [event.source for event in client.nexus.events(SourcePublished)]


@pytest.mark.parametrize("log_range", [1, 7, 900])
def test_a_node_that_looks_through_few_blocks_gives_all_events_once_and_in_order(
    bare: RunningNetwork, log_range: int
) -> None:
    sources = [publish_source(source_info(name=str(number))) for number in range(3)]
    bare.rpc("anvil_mine", "0x5")
    with proxied(bare.url) as proxy:
        proxy.gateway.log_range = log_range
        found = published(bare, proxy)
    assert found[-3:] == sources
    assert len(set(found)) == len(found)


def test_a_node_that_gives_no_logs_at_all_is_an_error_and_not_an_empty_list(bare: RunningNetwork) -> None:
    publish_source(source_info())
    with proxied(bare.url) as proxy:
        proxy.gateway.log_range = 0
        with pytest.raises(RPCFailed, match="maximum block range"):
            published(bare, proxy)


def test_what_a_contract_never_emits_cannot_be_asked_for(bare: RunningNetwork) -> None:
    with Client() as client, pytest.raises(InvalidInput, match="SourcePublished"):
        client.nexus.events(Deposited)
