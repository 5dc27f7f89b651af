"""The parts of the benchmark of reads, on a real network."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import source_info, task_info

from ogpu.client import get_task_responses, publish_source, publish_task
from read_parts import runs
from read_parts.cases import Case
from read_parts.proxy import delayed
from shared.answers import answered
from shared.network import BenchNetwork


@pytest.fixture
def task(bare: RunningNetwork) -> tuple[str, str]:
    source = publish_source(source_info())
    return source, publish_task(task_info(source))


def test_responses_are_made_in_order_and_mining_goes_on(bare: RunningNetwork, task: tuple[str, str]) -> None:
    contracts = bare.document["contracts"]
    made = answered(bare.url, contracts, task[1], 20) + answered(bare.url, contracts, task[1], 3)
    assert [(r.provider, r.data) for r in get_task_responses(task[1])] == [(a.provider, a.data) for a in made]
    assert [answer.data for answer in made] == [f"answer {number}" for number in range(23)]
    assert bare.rpc("anvil_getAutomine") is True
    assert get_task_responses(publish_task(task_info(task[0]))) == []


def test_requests_are_delayed_side_by_side(bare: RunningNetwork) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        async with session.post(url, json=body) as answer:
            return str((await answer.json())["result"])

    async def all_at_once(url: str) -> list[str]:
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(ask(session, url) for _ in range(20)))

    with delayed(bare.url, 1.0) as proxy:
        answers = asyncio.run(all_at_once(proxy.url))
    assert Counter(answers) == {bare.rpc("eth_chainId"): 20}
    assert (proxy.requests, proxy.most_at_once) == (20, 20)


def test_the_reader_finds_all_and_counts_as_the_proxy_does(
    bare: RunningNetwork, task: tuple[str, str]
) -> None:
    network = BenchNetwork(bare.file, bare.process, bare.document, task[0])
    answers = answered(bare.url, bare.document["contracts"], task[1], 12)
    cases = [
        Case("responses", [task[1]], [(answer.provider, answer.data) for answer in answers]),
        Case("tasks", [task[1]], [(task[1], task[0])]),
    ]
    with delayed(bare.url, 0.0) as proxy:
        found = runs.ours(network, runs.Link("near", proxy.url, 30.0), cases, rounds=2)
    assert [read.right for read in found.reads] == [True, True]
    assert found.requests == proxy.requests
