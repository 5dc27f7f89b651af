"""Many things are read in few requests, at one block that is still the chain's; errors say what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import pytest
from tests.support import crowd
from tests.support.faults import Fault
from tests.support.gateways import Gateway, no_batches
from tests.support.localnet import RunningNetwork
from tests.support.market import source_info, task_info, through
from tests.support.proxy import Proxy, proxied

from ogpu import Client
from ogpu.errors import ContractMissing, OGPUError, Reorganised, RPCFailed, RPCRateLimited, WrongContract
from ogpu.events import ResponseSubmitted
from ogpu.networks import Network, load_network_file
from ogpu.protocol.contract import ITEMS_PER_READ as PAGE
from ogpu.rpc.sizes import FIRST_SIZE as SIZE
from ogpu.types import TaskStatus
from shared.answers import Answer, answered

MANY = 1000
SOURCES = 300
EMPTY = "0x" + "9" * 40  # where there is no contract
DEPTH = 5  # blocks that a test may drop


@dataclass(frozen=True)
class Crowd:
    """A source with very many tasks, one of which has very many responses; and very many sources."""

    network: RunningNetwork
    source: str
    tasks: list[str]
    answers: list[Answer]
    response: str

    @property
    def task(self) -> str:
        return self.tasks[0]

    @property
    def provider(self) -> str:
        return self.answers[0].provider

    def address(self, kind: str) -> str:
        found: str = getattr(self, kind)
        return found


@pytest.fixture(scope="module")
def crowded(held_network: RunningNetwork) -> Iterator[Crowd]:
    """On a network that mines nothing by itself while blocks are replaced."""
    held_network.rpc("evm_setAutomine", True)
    snapshot = held_network.rpc("evm_snapshot")
    try:
        network = load_network_file(held_network.file)
        with Client(network, private_key=held_network.key(), journal=":memory:") as client:
            source = client.publish_source(source_info())
            task = client.publish_task(task_info(source))
            answers = answered(held_network.url, held_network.document["contracts"], task, MANY)
            crowd.sources(held_network, SOURCES)
            crowd.tasks(held_network, source, MANY)
            tasks, (first,) = client.source(source).tasks(), client.task(task).responses(0, 1)
        assert len(set(tasks)) == MANY + 1
        yield Crowd(held_network, source, tasks, answers, first.address)
    finally:
        held_network.rpc("evm_revert", snapshot)


@pytest.fixture
def proxy(crowded: Crowd) -> Iterator[Proxy]:
    with proxied(crowded.network.url) as running:
        yield running


@pytest.fixture
def client(crowded: Crowd, proxy: Proxy) -> Iterator[Client]:
    with client_of(through(crowded.network, proxy.url)) as found:
        yield found


def client_of(network: Network) -> Client:
    return Client(network, journal=":memory:")


def head(there: Crowd) -> int:
    return int(there.network.rpc("eth_blockNumber"), 16)


def drop(there: Crowd, block: int) -> None:
    """Put empty blocks in the place of this one and of all after it."""
    there.network.rpc("anvil_reorg", head(there) - block + 1, [])


Reading = Callable[[Client, Crowd], Any]

# Each read, and the most requests that it may take besides the one for the chain id.
READS: dict[str, tuple[Reading, int]] = {
    "get_source": (lambda client, there: client.get_source(there.source), 2),
    "get_task": (lambda client, there: client.get_task(there.task), 2),
    "get_response": (lambda client, there: client.get_response(there.response), 2),
    "get_task_responses": (
        lambda client, there: client.get_task_responses(there.task),
        4 + ceil(4 * MANY / SIZE),
    ),
    "some responses": (lambda client, there: client.get_task_responses(there.task, 500, 510), 4),
    "tasks": (lambda client, there: client.tasks(there.tasks[1:]), 2 + ceil(6 * MANY / SIZE)),
    "some tasks": (lambda client, there: client.tasks(there.tasks[:100]), 2),
    "sources": (lambda client, there: client.sources(), 5 + ceil(4 * SOURCES / SIZE)),
    "provider": (lambda client, there: client.provider(there.provider).snapshot(), 4),
    "master": (lambda client, there: client.master(there.provider).snapshot(), 2),
    "account": (lambda client, there: client.vault.account(there.provider), 2),
    "source.tasks": (lambda client, there: client.source(there.source).tasks(), 4 + ceil(MANY / SIZE)),
    "source.registrants": (
        lambda client, there: client.source(there.source).registrants(),
        4 + ceil(MANY / SIZE),
    ),
    "task.attempters": (lambda client, there: client.task(there.task).attempters(), 3),
    "task.attempt_timestamps": (lambda client, there: client.task(there.task).attempt_timestamps(), 3),
    "nexus.sources": (lambda client, there: client.nexus.sources(), 3),
}


# --- how many, and of which block


@pytest.mark.parametrize("name", READS)
def test_all_reads_of_a_call_are_of_one_block_in_few_requests(
    crowded: Crowd, proxy: Proxy, client: Client, name: str
) -> None:
    reading, most = READS[name]
    assert reading(client, crowded)
    assert proxy.requests <= 1 + most

    blocks = {call["params"][1] for call in proxy.calls if call["method"] == "eth_call"}
    (block,) = blocks
    assert int(block, 16) == int(crowded.network.rpc("eth_blockNumber"), 16)
    assert proxy.calls[1]["params"] == ["latest", False]
    last = proxy.calls[-1]
    assert (last["method"], last["params"]) == ("eth_getBlockByNumber", [block, False])


def test_a_thousand_responses_are_what_was_answered(crowded: Crowd, proxy: Proxy, client: Client) -> None:
    responses = client.get_task_responses(crowded.task)
    assert [(each.provider, each.data) for each in responses] == [
        (answer.provider, answer.data) for answer in crowded.answers
    ]
    assert {(each.task, each.payment, each.status, each.confirmed) for each in responses} == {
        (crowded.task, 1, 0, False)
    }
    assert proxy.requests <= 12


def test_pages_of_long_lists_join_without_a_gap(crowded: Crowd, client: Client) -> None:
    source, task = client.source(crowded.source), client.task(crowded.task)
    borders = [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, MANY - 1]
    lists: list[tuple[Callable[..., list[str]], Callable[[int], str | None]]] = [
        (source.tasks, source.task_at),
        (source.registrants, source.registrant_at),
        (task.attempters, task.attempter_at),
    ]
    for whole, at in lists:
        places = whole()
        assert len(set(places)) == len(places) >= MANY
        assert [places[border] for border in borders if border < MANY] == [
            at(border) for border in borders if border < MANY
        ]
        for lower, upper in ((0, PAGE), (PAGE - 1, PAGE + 1), (PAGE, 2 * PAGE), (3, MANY), (MANY - 1, None)):
            assert whole(lower, upper) == places[lower:upper]
    responses = task.responses()
    assert [response.provider for response in responses] == task.attempters()
    assert task.responses(PAGE - 1, PAGE + 1) == responses[PAGE - 1 : PAGE + 1]
    assert client.nexus.sources(100, 103) == client.nexus.sources()[100:103]


def test_the_chain_id_is_asked_for_once_by_a_client(crowded: Crowd, proxy: Proxy, client: Client) -> None:
    for reading, _ in READS.values():
        reading(client, crowded)
    assert proxy.methods["eth_chainId"] == 1


@pytest.mark.parametrize("size", [1000, 250])
def test_requests_grow_with_the_batches_and_not_with_fields(
    crowded: Crowd, proxy: Proxy, client: Client, size: int
) -> None:
    proxy.gateway = Gateway(limit=size)
    client.tasks(crowded.tasks[:500])  # it learns what the node takes
    taken = []
    for count in (1, 10, 100, 1000):
        before = proxy.requests
        assert [task.address for task in client.tasks(crowded.tasks[:count])] == crowded.tasks[:count]
        taken.append(proxy.requests - before)
    # The head, the fields, and the block once more: in the last batch, or alone after several.
    assert taken == [1 + ceil(6 * count / size) + (6 * count >= size) for count in (1, 10, 100, 1000)]


def test_what_is_asked_for_twice_is_read_once(crowded: Crowd, proxy: Proxy, client: Client) -> None:
    one, other = client.tasks([crowded.tasks[3]] * 500 + [crowded.tasks[4]])[-2:]
    assert (one.address, other.address) == (crowded.tasks[3], crowded.tasks[4])
    assert proxy.methods["eth_call"] == 12


def test_a_node_that_takes_no_batches_gives_the_same(crowded: Crowd, proxy: Proxy, client: Client) -> None:
    with client_of(through(crowded.network, crowded.network.url)) as direct:
        expected = direct.tasks(crowded.tasks[:20]), direct.get_task_responses(crowded.task, 990)
    proxy.gateway = Gateway(limit=1, refuse=no_batches)
    assert (client.tasks(crowded.tasks[:20]), client.get_task_responses(crowded.task, 990)) == expected
    assert max(proxy.sizes[3:]) == 1


# --- when the chain changes meanwhile


@pytest.fixture
def many(crowded: Crowd) -> Iterator[Crowd]:
    """The crowd, which is as it was after a test."""
    snapshot = crowded.network.rpc("evm_snapshot")
    crowded.network.rpc("anvil_mine", hex(DEPTH))  # a snapshot is lost with its block
    yield crowded
    crowded.network.rpc("evm_revert", snapshot)


class Upheaval:
    """Changes the chain before the node is asked for the `eth_call` of one of these numbers."""

    def __init__(self, change: Callable[[], Any], at: Container[int]) -> None:
        self._change = change
        self._at = at
        self._lock = threading.Lock()
        self.seen = self.times = 0
        self.failures: list[BaseException] = []

    def __call__(self, method: str) -> None:
        with self._lock:
            if method != "eth_call":
                return
            self.seen += 1
            if self.seen in self._at:
                self.times += 1
                try:
                    self._change()
                except (AssertionError, OSError) as error:
                    self.failures.append(error)


def test_tasks_are_read_again_when_a_reorganisation_comes_between_two_batches(
    many: Crowd, proxy: Proxy, client: Client
) -> None:
    """The last blocks cancel the first and the last task: a mixture of both chains would show one of them."""
    first, last = many.tasks[1], many.tasks[-1]
    since = head(many) + 1
    for task in (first, last):
        many.network.transact("Controller", "cancelTask", task)
    with client_of(through(many.network, many.network.url)) as direct:
        assert {task.status for task in direct.tasks([first, last])} == {TaskStatus.CANCELED}

    upheaval = Upheaval(lambda: drop(many, since), [SIZE + 500])
    proxy.hold = upheaval
    tasks = client.tasks(many.tasks[1:])
    assert (upheaval.times, upheaval.failures) == (1, [])
    assert upheaval.seen > 6 * MANY, "it was not read again"
    with client_of(through(many.network, many.network.url)) as direct:
        assert tasks == direct.tasks(many.tasks[1:])
    assert {task.status for task in tasks} == {TaskStatus.NEW}


def test_responses_that_a_reorganisation_drops_are_gone(many: Crowd, proxy: Proxy, client: Client) -> None:
    """Their number was read before it, and they themselves after it."""
    answered(many.network.url, many.network.document["contracts"], many.tasks[1], 3)
    with client_of(through(many.network, many.network.url)) as direct:
        made = direct.nexus.events(ResponseSubmitted, head(many) - DEPTH)
    upheaval = Upheaval(lambda: drop(many, made[0].place.block_number), [2])
    proxy.hold = upheaval
    assert client.get_task_responses(many.tasks[1]) == []
    assert (upheaval.times, upheaval.failures) == (1, [])
    assert client.get_task(many.tasks[1]).status is TaskStatus.ATTEMPTED


def test_a_chain_that_became_shorter_meanwhile_is_read_again(
    many: Crowd, proxy: Proxy, client: Client
) -> None:
    task = many.tasks[1]
    before = head(many)
    many.network.transact("Controller", "cancelTask", task)
    upheaval = Upheaval(lambda: many.network.rpc("anvil_rollback", head(many) - before), [1])
    proxy.hold = upheaval
    assert client.get_task(task).status is TaskStatus.NEW
    assert (upheaval.times, upheaval.failures) == (1, [])


def test_a_chain_that_never_stands_still_is_an_error(many: Crowd, proxy: Proxy, client: Client) -> None:
    upheaval = Upheaval(lambda: drop(many, head(many)), range(1, 1000, 6))  # each time that a task is read
    proxy.hold = upheaval
    found = failure(lambda: client.get_task(many.tasks[1]))
    assert type(found) is Reorganised, upheaval.failures
    assert found.retryable
    assert not upheaval.failures
    assert upheaval.times > 2
    proxy.hold = None
    assert client.get_task(many.tasks[1]).status is TaskStatus.NEW


# --- what is wrong

FAILING: dict[str, tuple[str, str, Callable[[Client, str], Any]]] = {
    # what is read, what is there instead, and how
    "get_source": ("source", "task", lambda client, address: client.get_source(address)),
    "get_task": ("task", "source", lambda client, address: client.get_task(address)),
    "get_response": ("response", "task", lambda client, address: client.get_response(address)),
    "get_task_responses": ("task", "response", lambda client, address: client.get_task_responses(address)),
    "task.responses": ("task", "source", lambda client, address: client.task(address).responses(0, 1)),
    "tasks": ("task", "source", lambda client, address: client.tasks([address])),
    "sources": ("source", "response", lambda client, address: client.sources([address])),
    "source.tasks": ("source", "task", lambda client, address: client.source(address).tasks()),
}
CORE: dict[str, Callable[[Client, str], Any]] = {
    "all sources": lambda client, address: client.sources(),
    "provider": lambda client, address: client.provider(address).snapshot(),
    "master": lambda client, address: client.master(address).snapshot(),
    "account": lambda client, address: client.vault.account(address),
}


def failure(call: Callable[[], Any]) -> OGPUError:
    with pytest.raises(OGPUError) as failed:
        call()
    return failed.value


@pytest.mark.parametrize("name", FAILING)
def test_a_missing_and_a_wrong_contract_are_two_errors(crowded: Crowd, client: Client, name: str) -> None:
    kind, instead, reading = FAILING[name]
    expected = kind.capitalize()
    missing = failure(lambda: reading(client, EMPTY))
    assert type(missing) is ContractMissing
    assert missing.facts == {"address": EMPTY, "expected": expected}
    wrong = failure(lambda: reading(client, crowded.address(instead)))
    assert type(wrong) is WrongContract
    assert wrong.facts == {"address": crowded.address(instead), "expected": expected}
    assert not missing.retryable
    assert not wrong.retryable
    assert reading(client, crowded.address(kind)) is not None


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize(("at", "error"), [(EMPTY, ContractMissing), (None, WrongContract)])
def test_core_contracts_that_are_elsewhere_are_named(
    crowded: Crowd, name: str, at: str | None, error: type[OGPUError]
) -> None:
    network = load_network_file(crowded.network.file)
    contracts = dict.fromkeys(network.contracts, at or crowded.source)
    with client_of(replace(network, contracts=contracts)) as client:
        found = failure(lambda: CORE[name](client, crowded.provider))
    assert type(found) is error
    assert found.facts["address"] == (at or crowded.source)


@pytest.mark.parametrize("name", [*FAILING, *CORE])
def test_a_node_s_failure_and_its_rate_limit_are_two_other_errors(
    crowded: Crowd, proxy: Proxy, client: Client, name: str
) -> None:
    kind, _, reading = FAILING.get(name) or ("provider", "", CORE[name])
    proxy.order("eth_call", Fault.NO_METHOD, 99)
    failed = failure(lambda: reading(client, crowded.address(kind)))
    assert type(failed) is RPCFailed
    proxy.calm()
    proxy.retry_after, proxy.throttle = "60", 99  # longer than anybody waits
    limited = failure(lambda: reading(client, crowded.address(kind)))
    assert type(limited) is RPCRateLimited
    assert limited.retryable
    proxy.throttle = 0
    assert reading(client, crowded.address(kind))
