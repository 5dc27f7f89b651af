"""The deployed getters' quirks are hidden: inclusive bounds, holes, many responses."""

from __future__ import annotations

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info, through
from tests.support.proxy import Fault, proxied
from web3 import Web3

from ogpu import Client
from ogpu.client import get_task_responses, publish_source, publish_task

COIN = 10**18


def attempted(network: RunningNetwork, source: str, task: str, count: int) -> list[str]:
    """That many new providers, paired, staked and registered, which have attempted the task."""
    providers: list[str] = [
        Web3.to_checksum_address(f"0x{0xBEEF0000 + 2 * number:040x}") for number in range(count)
    ]
    masters = [Web3.to_checksum_address(f"0x{0xBEEF0001 + 2 * number:040x}") for number in range(count)]
    for account in [*providers, *masters]:
        network.rpc("anvil_setBalance", account, hex(100 * COIN))
    for provider, master in zip(providers, masters, strict=True):
        network.transact("Terminal", "announceProvider", provider, 10 * COIN, sender=master, value=10 * COIN)
        network.transact("Terminal", "announceMaster", master, sender=provider)
        network.transact("Nexus", "register", source, provider, 1, sender=provider)
        network.transact("Nexus", "attempt", task, provider, PRICE, sender=provider)
    return providers


def respond(network: RunningNetwork, task: str, provider: str, data: str) -> None:
    network.transact("Nexus", "submitResponse", (task, provider, data, PRICE), sender=provider)


@pytest.fixture
def task(bare: RunningNetwork) -> tuple[str, str]:
    source = publish_source(source_info())
    return source, publish_task(task_info(source))


def test_no_attempt_reads_as_no_response(bare: RunningNetwork, task: tuple[str, str]) -> None:
    assert get_task_responses(task[1]) == []


def test_a_count_from_the_block_that_is_being_mined_is_read_again(
    bare: RunningNetwork, task: tuple[str, str]
) -> None:
    with proxied(bare.url) as proxy, Client(through(bare, proxy.url)) as client:
        proxy.order("eth_call", Fault.TORN)
        assert client.get_task_responses(task[1]) == []
        assert not proxy.orders[0].times


def test_exactly_one_response_is_read_once(bare: RunningNetwork, task: tuple[str, str]) -> None:
    (provider,) = attempted(bare, *task, 1)
    respond(bare, task[1], provider, "ipfs://only")
    (response,) = get_task_responses(task[1])
    assert response.data == "ipfs://only"


def test_attempters_without_an_answer_are_no_responses(bare: RunningNetwork, task: tuple[str, str]) -> None:
    providers = attempted(bare, *task, 5)
    for number in (3, 1):
        respond(bare, task[1], providers[number], f"answer {number}")
    assert [response.data for response in get_task_responses(task[1])] == ["answer 1", "answer 3"]
    assert [response.data for response in get_task_responses(task[1], 1)] == ["answer 3"]
    assert [response.data for response in get_task_responses(task[1], 0, 1)] == ["answer 1"]
    assert get_task_responses(task[1], 1, 1) == []
    assert get_task_responses(task[1], 5, 9) == []


def test_a_stranger_s_text_that_is_no_text_stops_nothing(bare: RunningNetwork, task: tuple[str, str]) -> None:
    """Response data is any bytes on chain; what is not UTF-8 is replaced, the others are still read."""
    first, second = attempted(bare, *task, 2)
    respond(bare, task[1], first, "fine")
    raw = bare.calldata("Nexus", "submitResponse", (task[1], second, "ABCDEFGH", PRICE))
    bare.transact_raw("Nexus", raw.replace(b"ABCDEFGH".hex(), "fffe0041c3281b5b"), sender=second)
    data = [response.data for response in get_task_responses(task[1])]
    assert data[0] == "fine"
    assert "\ufffd" in data[1]
