"""Hazards of nodes that tell what is not so, or not all of it: nothing of that reaches a consumer."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.anvil import LOGGER, OTHER, Anvil, anvil
from tests.support.faults import Answer, Call, refusal
from tests.support.proxy import Proxy, proxied
from tests.support.reader import QUICK, Reader, caught_up, followed, read

from ogpu.errors import ChainInconsistent, RPCAnswerTooLarge
from ogpu.rpc.bloom import bits_of_hex, bloom_of
from ogpu.rpc.fetching import PAUSES
from ogpu.rpc.follow import Blocks, Finalized, follow
from ogpu.rpc.spans import MOST_BLOCKS
from ogpu.rpc.transport import RPC

Lie = Callable[[Any], Any]
LOGS, BLOCK = "eth_getLogs", "eth_getBlockByNumber"
OTHER_HASH = "0x" + "42" * 32
HUGE = hex(2**63)  # which no database can store
COUNTS = (3, 0, 2, 5)


@pytest.fixture(scope="module")
def told() -> Iterator[Anvil]:
    """A node whose chain no test of this file changes."""
    with anvil() as running:
        for count in COUNTS:
            running.log(count)
            running.log(1, OTHER)
        running.mine(3)
        yield running


def expected() -> list[int]:
    return [number for count in COUNTS for number in range(count, 0, -1)]


def each(change: Callable[[dict[str, Any]], Any]) -> Lie:
    """A lie about each log, or about a header."""

    def lie(result: Any) -> Any:
        return [change(one) for one in result] if isinstance(result, list) else change(result)

    return lie


LIES: dict[str, tuple[str, Lie]] = {
    "no logs": (LOGS, lambda logs: []),
    "logs of another block's hash": (LOGS, each(lambda log: log | {"blockHash": OTHER_HASH})),
    "logs backwards": (LOGS, lambda logs: logs[::-1]),
    "logs twice": (LOGS, lambda logs: [log for log in logs for _ in range(2)]),
    "logs of another contract": (LOGS, each(lambda log: log | {"address": OTHER})),
    "logs that were removed": (LOGS, each(lambda log: log | {"removed": True})),
    "logs of a later block": (LOGS, each(lambda log: log | {"blockNumber": "0xfffff"})),
    "logs with another topic": (LOGS, each(lambda log: log | {"topics": [OTHER_HASH, *log["topics"][1:]]})),
    "logs without topics": (LOGS, each(lambda log: log | {"topics": None})),
    "logs with broken data": (LOGS, each(lambda log: log | {"data": "0x1"})),
    "logs without a place": (LOGS, each(lambda log: log | {"logIndex": None})),
    "logs of an impossible place": (LOGS, each(lambda log: log | {"logIndex": HUGE})),
    "logs without a transaction": (LOGS, each(lambda log: log | {"transactionHash": "0x"})),
    "logs that are none": (LOGS, lambda logs: ["log"]),
    "something else than logs": (LOGS, lambda logs: {"logs": logs}),
    "nothing": (LOGS, lambda logs: None),
    "headers of another number": (BLOCK, each(lambda header: header | {"number": "0x77"})),
    "headers of an impossible time": (BLOCK, each(lambda header: header | {"timestamp": HUGE})),
    "headers of another parent": (BLOCK, each(lambda header: header | {"parentHash": OTHER_HASH})),
    "headers of another hash": (BLOCK, each(lambda header: header | {"hash": OTHER_HASH})),
    "headers without a bloom": (BLOCK, each(lambda header: header | {"logsBloom": None})),
    "headers of an empty bloom": (BLOCK, each(lambda header: header | {"logsBloom": "0x" + "00" * 256})),
    "no headers": (BLOCK, lambda header: None),
}


def lying(method: str, lie: Lie, times: int) -> tuple[Callable[[Call, Answer], None], list[Call]]:
    """What a proxy does to tell a lie, and the calls that were answered so; the head stays true."""
    told: list[Call] = []

    def change(call: Call, answer: Answer) -> None:
        asked = call["method"] == method and call["params"][0] != "latest" and answer["result"] != []
        if asked and len(told) < times:
            answer["result"] = lie(answer["result"])
            told.append(call)

    return change, told


@pytest.mark.parametrize("name", LIES)
def test_a_lie_that_is_told_once_is_asked_again(told: Anvil, name: str) -> None:
    with proxied(told.url) as proxy:
        proxy.lie, lies = lying(*LIES[name], times=1)
        reader = followed(proxy.url, lambda rpc: caught_up(rpc, told))
        assert len(lies) == 1
    assert reader.numbers() == expected()
    assert reader.logs == told.logs()
    assert reader.hashes == told.chain()
    assert not reader.rollbacks


@pytest.mark.parametrize("name", ["no logs", "logs of another block's hash", "headers of another parent"])
def test_of_a_node_that_always_lies_another_one_is_asked(told: Anvil, name: str) -> None:
    with ExitStack() as stack:
        liar, honest = (stack.enter_context(proxied(told.url)) for _ in range(2))
        liar.lie, lies = lying(*LIES[name], times=1 << 30)
        reader = followed([liar.url, honest.url], lambda rpc: caught_up(rpc, told))
        assert lies
    assert reader.numbers() == expected()
    assert reader.hashes == told.chain()


def test_when_there_is_no_other_node_a_lie_ends_it_with_an_error(told: Anvil) -> None:
    async def story(rpc: RPC) -> ChainInconsistent:
        with pytest.raises(ChainInconsistent) as caught:
            await read(follow(rpc, [LOGGER], poll=QUICK), Reader(), lambda: True)
        return caught.value

    with proxied(told.url) as proxy:
        proxy.lie, lies = lying(*LIES["logs of another block's hash"], times=1 << 30)
        error = followed(proxy.url, story)
    assert error.facts == {"block": 1, "reason": "a log has another block's hash"}
    asked = [call["params"][0] for call in lies]
    assert sum(int(one["fromBlock"], 16) <= 1 <= int(one["toBlock"], 16) for one in asked) == 8


def test_logs_that_a_node_lacks_for_good_do_not_stop_it_and_are_warned_of(
    told: Anvil, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a bloom that names a contract by chance, which nobody can tell from it."""
    first = 1

    def without(logs: Any) -> Any:
        return [log for log in logs if int(log["blockNumber"], 16) != first]

    with proxied(told.url) as proxy:
        proxy.lie, lies = lying(LOGS, without, 1 << 30)
        reader = followed(proxy.url, lambda rpc: caught_up(rpc, told))
        assert [call["params"][0].get("blockHash") for call in lies[1:]].count(
            told.block(first)["hash"]
        ) == len(PAUSES)
    assert reader.numbers() == expected()[COUNTS[0] :]
    assert "block 1: its bloom names a contract of which no node has a log" in caplog.text


@pytest.mark.parametrize("by_hash", [True, False])
@pytest.mark.parametrize("logs", [15, 300], ids=["an almost empty block", "a full block"])
def test_a_bloom_that_names_a_contract_by_chance_does_not_stop_it(logs: int, by_hash: bool) -> None:
    with anvil() as mine, proxied(mine.url) as proxy:
        number = mine.log(logs)
        bloom = bloom_of(mine.block(number)["logsBloom"])
        stranger = next(address for address in addresses() if bits_of_hex(address) & ~bloom == 0)
        if not by_hash:
            proxy.lie = no_hashes

        async def story(rpc: RPC) -> Reader:
            steps = follow(rpc, [LOGGER, stranger], poll=QUICK)
            return await read(steps, reader, lambda: len(reader.blocks) > number)

        reader = Reader()
        followed(proxy.url, story)
        asked = sum(
            call["params"][0].get("blockHash") is not None for call in proxy.calls if call["method"] == LOGS
        )
    assert len(reader.numbers()) == logs
    assert asked == (len(PAUSES) if logs == 15 else 1) if by_hash else 1


def addresses() -> Iterator[str]:
    draw = random.Random(5)
    while True:
        yield "0x" + draw.randbytes(20).hex()


def no_hashes(call: Call, answer: Answer) -> None:
    """As a node that does not know EIP-234."""
    if call["method"] == LOGS and "blockHash" in call["params"][0]:
        del answer["result"]
        answer.update(refusal(call, "invalid argument 0: unknown field blockHash", -32602))


def test_a_lie_about_the_head_makes_no_block_final() -> None:
    """Told while there is much to read, of which the first part would be deep enough then."""
    with anvil() as mine, proxied(mine.url) as proxy:
        mine.mine(MOST_BLOCKS + 20)
        lies: list[Call] = []

        def lie(call: Call, answer: Answer) -> None:
            if call["method"] == BLOCK and call["params"][0] == "latest" and not lies:
                answer["result"]["number"] = hex(10**9)
                lies.append(call)

        proxy.lie = lie
        reader = followed(proxy.url, lambda rpc: caught_up(rpc, mine))
        assert lies
        head = mine.head()
    heads = {step.head for step in reader.steps if isinstance(step, Blocks)}
    final = [step.cursor.number for step in reader.steps if isinstance(step, Finalized)]
    assert heads == {head}
    assert max(final) == head - 63


def test_a_reorganisation_between_headers_and_logs_is_noticed() -> None:
    with anvil() as mine, proxied(mine.url) as proxy:
        for _ in range(6):
            mine.log()
        torn = threading.Event()

        def hold(method: str) -> None:
            if method == LOGS and not torn.is_set():
                torn.set()
                mine.rpc("anvil_reorg", 3, [])
                mine.log(2)

        proxy.hold = hold

        async def story(rpc: RPC) -> Reader:
            reader = Reader()
            return await read(
                follow(rpc, [LOGGER], poll=QUICK),
                reader,
                lambda: reader.numbers()[-1:] == [1] and len(reader.numbers()) == 5,
            )

        reader = followed(proxy.url, story)
        assert torn.is_set()
        assert reader.hashes == mine.chain()
    assert reader.numbers() == [1, 1, 1, 2, 1]


RANGES = {  # a node's words for too many blocks, and its code
    "quicknode": (-32614, "eth_getLogs is limited to a {limit} range"),
    "alchemy": (-32600, "You can make eth_getLogs requests with up to a {limit} block range."),
    "ankr": (-32600, "block range is too wide"),
    "besu": (-32005, "Requested range exceeds maximum RPC range limit"),
    "bsc": (-32005, "limit exceeded"),
    "erigon": (-32000, "some words that nobody knows"),
}
RESULTS = {  # for too many logs
    "infura": (-32005, "query returned more than {limit} results. Try with this block range [0x1, 0x2]."),
    "reth": (-32602, "query exceeds max results {limit}, retry with the range 1-2"),
    "proxyd": (-32020, "backend response too large"),
}


def limited(proxy: Proxy, code: int, words: str, *, blocks: int = 1 << 30, logs: int = 1 << 30) -> list[int]:
    """Have a node refuse ranges; the number of blocks in each range that it served."""
    served: list[int] = []

    def limit(call: Call, answer: Answer) -> None:
        if call["method"] != LOGS or "blockHash" in call["params"][0]:
            return
        query = call["params"][0]
        count = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
        if count > blocks or len(answer["result"]) > logs:
            del answer["result"]
            answer.update(refusal(call, words.format(limit=min(blocks, logs)), code))
        else:
            served.append(count)

    proxy.lie = limit
    return served


@pytest.fixture(scope="module")
def long() -> Iterator[Anvil]:
    """A node with some hundred blocks."""
    with anvil() as running:
        for _ in range(40):
            running.log(2)
            running.mine(9)
        yield running


@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_as_large_as_a_node_takes_them(long: Anvil, name: str) -> None:
    with proxied(long.url) as proxy:
        most = 100 if name == "bsc" else 50  # its words are those of a rate limit, which is waited out
        served = limited(proxy, *RANGES[name], blocks=most)
        reader = followed(proxy.url, lambda rpc: caught_up(rpc, long))
    assert reader.numbers() == [2, 1] * 40
    assert max(served) > most // 2
    assert len(served) < 40


@pytest.mark.parametrize("name", RESULTS)
def test_ranges_have_as_many_logs_as_a_node_gives(long: Anvil, name: str) -> None:
    with proxied(long.url) as proxy:
        served = limited(proxy, *RESULTS[name], logs=10)
        reader = followed(proxy.url, lambda rpc: caught_up(rpc, long))
    assert reader.numbers() == [2, 1] * 40
    assert len(served) < 250


@pytest.mark.parametrize("name", RESULTS)
def test_a_block_with_more_logs_than_a_node_gives_ends_it_with_an_error(told: Anvil, name: str) -> None:
    async def story(rpc: RPC) -> RPCAnswerTooLarge:
        with pytest.raises(RPCAnswerTooLarge) as caught:
            await read(follow(rpc, [LOGGER], poll=QUICK), Reader(), lambda: False)
        return caught.value

    with proxied(told.url) as proxy:
        limited(proxy, *RESULTS[name], logs=4)
        error = followed(proxy.url, story)
    assert error.facts["block"] == 7
