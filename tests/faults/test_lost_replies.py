"""Hazards of a network between us and the node: nothing may be published twice or lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rlp
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, core_of, set_policy, source_info, task_info, through
from tests.support.proxy import Fault, Proxy, proxied

from ogpu import Client
from ogpu.errors import (
    InsufficientFunds,
    NetworkError,
    NonceConflict,
    RPCInvalidResponse,
    RPCRateLimited,
    RPCUnreachable,
    TransactionError,
    TransactionUndetermined,
    WrongChain,
)
from ogpu.tx.boundaries import Boundary
from ogpu.tx.flight import FIRST_RESEND
from ogpu.tx.journal import Journal

SEND = "eth_sendRawTransaction"
SEND_FAULTS = [
    Fault.DROP_BEFORE,
    Fault.DROP_AFTER,
    Fault.BAD_GATEWAY_BEFORE,
    Fault.BAD_GATEWAY_AFTER,
    Fault.TOO_MANY,
    Fault.HTML,
    Fault.TRUNCATED,
    Fault.SILENCE_AFTER,
    Fault.NULL_RESULT,
]


@pytest.fixture
def proxy(bare: RunningNetwork) -> Iterator[Proxy]:
    with proxied(bare.url) as running:
        yield running


@pytest.fixture
def client(bare: RunningNetwork, proxy: Proxy) -> Iterator[Client]:
    with Client(through(bare, proxy.url), timeout=2) as opened:
        yield opened


def tasks_of(client: Client, source: str) -> int:
    return client.get_source(source).task_count


@pytest.mark.parametrize("fault", SEND_FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("times", [1, 3])
def test_a_fault_at_the_send_publishes_once(client: Client, proxy: Proxy, fault: Fault, times: int) -> None:
    source = client.publish_source(source_info())
    before = client.vault.account(client.network.accounts["client"][0].address).balance
    proxy.order(SEND, fault, times)
    task = client.publish_task(task_info(source))
    assert client.get_task(task).source == source
    assert tasks_of(client, source) == 1
    after = client.vault.account(client.network.accounts["client"][0].address).balance
    assert before - after == PRICE
    assert len(set(proxy.raw_sent)) == 2  # one for the source, one for the task, whatever was re-sent


@pytest.mark.parametrize(
    "fault", [Fault.DROP_BEFORE, Fault.BAD_GATEWAY_BEFORE, Fault.TOO_MANY, Fault.HTML, Fault.TRUNCATED]
)
@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_call", "eth_estimateGas"])
def test_a_fault_at_a_read_is_tried_again(client: Client, proxy: Proxy, fault: Fault, method: str) -> None:
    source = client.publish_source(source_info())
    proxy.order(method, fault, 2)
    client.publish_task(task_info(source))
    assert tasks_of(client, source) == 1


def test_a_receipt_that_comes_late_is_waited_for_and_not_published_again(
    client: Client, proxy: Proxy
) -> None:
    source = client.publish_source(source_info())
    proxy.order("eth_getTransactionReceipt", Fault.NULL_RESULT, 5)
    client.publish_task(task_info(source))
    assert tasks_of(client, source) == 1


@pytest.fixture
def holding(held: RunningNetwork) -> Iterator[Client]:
    """A client of a network that mines when the test says so."""
    with Client(through(held, held.url), timeout=2) as opened:
        yield opened


def test_a_receipt_that_lags_is_no_proof_that_another_took_the_nonce(client: Client, proxy: Proxy) -> None:
    """The node counts our transaction and has no receipt for it yet, for three seconds."""
    source = client.publish_source(source_info())
    proxy.order("eth_getTransactionReceipt", Fault.NULL_RESULT, 10)
    client.publish_task(task_info(source))
    assert not proxy.orders[0].times
    assert tasks_of(client, source) == 1
    assert len(set(proxy.raw_sent)) == 2


def test_a_refusal_of_what_was_sent_before_is_not_believed(
    held: RunningNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first send's reply was lost; the second is refused, as a node does that counts the first."""
    with proxied(held.url) as proxy, Client(through(held, proxy.url), timeout=2) as client:
        source = client.publish_source(source_info())
        held.rpc("evm_setAutomine", False)
        proxy.order(SEND, Fault.DROP_AFTER)
        proxy.order(SEND, Fault.REFUSED, 2)
        caller = threading.Thread(target=client.publish_task, args=(task_info(source),))
        caller.start()
        wait_until(lambda: not any(order.times for order in proxy.orders), what="the refusals")
        held.rpc("evm_mine")
        caller.join(20)
        assert tasks_of(client, source) == 1


def test_a_call_after_an_open_fate_goes_on_with_the_same_transaction(
    held: RunningNetwork, holding: Client
) -> None:
    source = holding.publish_source(source_info())
    held.rpc("evm_setAutomine", False)
    with pytest.raises(TransactionUndetermined) as caught, receipt_timeout(holding, 0.5):
        holding.publish_task(task_info(source))
    again: list[str] = []
    caller = threading.Thread(target=lambda: again.append(holding.publish_task(task_info(source))))
    caller.start()
    follower = core_of(holding).chain.transactions.follower
    wait_until(follower.waited_for, what="the second call")
    held.rpc("evm_mine")
    caller.join(20)
    assert len(again) == 1
    assert tasks_of(holding, source) == 1
    assert held.rpc("eth_getTransactionReceipt", caught.value.facts["hash"])["status"] == "0x1"


def test_a_caller_that_is_stopped_while_waiting_and_calls_again_publishes_once(
    held: RunningNetwork, holding: Client
) -> None:
    source = holding.publish_source(source_info())
    held.rpc("evm_setAutomine", False)
    core, loop = holding._portal._running()
    future = asyncio.run_coroutine_threadsafe(core.publish_task(task_info(source)), loop)
    wait_until(lambda: int(held.rpc("txpool_status")["pending"], 16), what="the send")
    future.cancel()
    held.rpc("evm_setAutomine", True)
    held.rpc("evm_mine")
    holding.publish_task(task_info(source))
    assert tasks_of(holding, source) == 1


@contextlib.contextmanager
def receipt_timeout(client: Client, seconds: float) -> Iterator[None]:
    set_policy(client, receipt_timeout=seconds)
    yield
    set_policy(client, receipt_timeout=120)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.HTML, RPCInvalidResponse),
        (Fault.BAD_GATEWAY_BEFORE, RPCInvalidResponse),
        (Fault.TRUNCATED, RPCInvalidResponse),
        (Fault.TOO_MANY, RPCRateLimited),
        (Fault.DROP_BEFORE, RPCUnreachable),
    ],
)
def test_a_node_that_stays_broken_is_named_and_the_task_is_not_called_missing(
    client: Client, proxy: Proxy, fault: Fault, error: type[NetworkError]
) -> None:
    proxy.order("*", fault, 100)
    with pytest.raises(error) as caught:
        client.get_task("0x" + "11" * 20)
    assert caught.value.retryable
    assert "127.0.0.1" in str(caught.value)


def test_a_node_of_another_chain_gets_no_transaction(client: Client, proxy: Proxy) -> None:
    proxy.order("eth_chainId", Fault.WRONG_CHAIN, 100)
    with pytest.raises(WrongChain, match="chain 42, but chain 1337"):
        client.publish_source(source_info())
    assert not proxy.raw_sent


def test_reads_go_to_the_next_node_when_the_first_is_down(bare: RunningNetwork) -> None:
    with Client(through(bare, "http://127.0.0.1:9", bare.url), timeout=2) as client:
        source = client.publish_source(source_info())
        assert client.get_source(source).task_count == 0


def test_a_second_node_s_refusal_proves_nothing_after_a_silent_first(bare: RunningNetwork) -> None:
    """The first node took the transaction and did not say so; the second would not have taken it."""
    with (
        proxied(bare.url) as first,
        proxied(bare.url) as second,
        Client(through(bare, first.url, second.url), timeout=2) as client,
    ):
        source = client.publish_source(source_info())
        first.order(SEND, Fault.DROP_AFTER)
        second.order(SEND, Fault.REFUSED)
        client.publish_task(task_info(source))
        assert tasks_of(client, source) == 1
        assert not second.orders[0].times


def test_a_refusal_by_the_only_node_is_reported(client: Client, proxy: Proxy) -> None:
    source = client.publish_source(source_info())
    proxy.order(SEND, Fault.REFUSED)
    with pytest.raises(InsufficientFunds):
        client.publish_task(task_info(source))
    assert tasks_of(client, source) == 0
    client.publish_task(task_info(source))
    assert tasks_of(client, source) == 1


def test_the_chain_id_is_asked_once(client: Client, proxy: Proxy) -> None:
    source = client.publish_source(source_info())
    for _ in range(3):
        client.publish_task(task_info(source))
        client.get_source(source)
    assert proxy.methods["eth_chainId"] == 1


def test_a_node_that_estimates_on_the_latest_block_only_is_enough(client: Client, proxy: Proxy) -> None:
    proxy.order("eth_estimateGas", Fault.NO_PENDING, 100)
    source = client.publish_source(source_info())
    client.publish_task(task_info(source))
    assert tasks_of(client, source) == 1


def test_threads_on_one_key_take_different_nonces(bare: RunningNetwork, client: Client) -> None:
    source = client.publish_source(source_info())
    tasks: list[str] = []
    failures: list[BaseException] = []

    def publish(number: int) -> None:
        try:
            tasks.append(client.publish_task(task_info(source, n=number)))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(set(tasks)) == 12
    assert tasks_of(client, source) == 12


def test_two_clients_on_one_key_publish_everything_once(bare: RunningNetwork) -> None:
    """Neither knows of the other's nonces; the chain decides, and each mends its own."""
    network = through(bare, bare.url)
    with Client(network) as first, Client(network) as second:
        source = first.publish_source(source_info())
        threads = [
            threading.Thread(target=client.publish_task, args=(task_info(source, n=number, of=name),))
            for number in range(4)
            for name, client in (("first", first), ("second", second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert first.get_source(source).task_count == 8


def test_a_nonce_that_is_used_is_reported_and_not_mended_when_it_was_asked_for(client: Client) -> None:
    source = client.publish_source(source_info())
    with pytest.raises(NonceConflict):
        client.publish_task(task_info(source), nonce=0)
    assert tasks_of(client, source) == 0


def fees_sent(proxy: Proxy) -> list[tuple[int, int]]:
    """What each transaction offered: the maximal fee and the priority fee, in wei per gas."""
    offered = []
    for raw in proxy.raw_sent:
        fields = rlp.decode(bytes.fromhex(raw[4:]))  # 0x02, then the list of EIP-1559's fields
        offered.append((int.from_bytes(fields[3]), int.from_bytes(fields[2])))
    return offered


def test_a_fee_that_is_too_low_is_raised_each_time_by_what_nodes_ask(client: Client, proxy: Proxy) -> None:
    source = client.publish_source(source_info())
    proxy.raw_sent.clear()
    proxy.order(SEND, Fault.UNDERPRICED, 2)
    client.publish_task(task_info(source))
    first, second, third = fees_sent(proxy)
    assert all(10 * new >= 11 * old for new, old in zip(second, first, strict=True))
    assert all(10 * new >= 11 * old for new, old in zip(third, second, strict=True))
    assert tasks_of(client, source) == 1


@pytest.mark.parametrize("tries", [1, 2])
def test_max_retries_bounds_new_transactions_and_says_why_none_was_taken(
    client: Client, proxy: Proxy, tries: int
) -> None:
    source = client.publish_source(source_info())
    proxy.raw_sent.clear()
    proxy.order(SEND, Fault.UNDERPRICED, 50)
    with pytest.raises(TransactionError, match="minimum needed 25000000000"):
        client.publish_task(task_info(source), max_retries=tries)
    assert len(proxy.raw_sent) == tries


def test_a_nonce_that_others_hold_is_not_mended_when_that_is_off(client: Client, proxy: Proxy) -> None:
    source = client.publish_source(source_info())
    proxy.raw_sent.clear()
    proxy.order(SEND, Fault.OCCUPIED, 1)
    with pytest.raises(NonceConflict, match="is taken"):
        client.publish_task(task_info(source), auto_fix_nonce=False)
    assert len(proxy.raw_sent) == 1
    proxy.order(SEND, Fault.OCCUPIED, 1)
    client.publish_task(task_info(source))
    assert tasks_of(client, source) == 1


def test_the_responses_of_a_task_are_read_at_one_block(client: Client, proxy: Proxy) -> None:
    task = client.publish_task(task_info(client.publish_source(source_info())))
    proxy.calls.clear()
    client.get_task_responses(task)
    blocks = {call["params"][1] for call in proxy.calls if call["method"] == "eth_call"}
    assert len(blocks) == 1
    assert blocks.pop().startswith("0x")


def test_exactly_that_nonce_is_used(bare: RunningNetwork, client: Client) -> None:
    source = client.publish_source(source_info())
    count = int(bare.rpc("eth_getTransactionCount", bare.address(), "latest"), 16)
    client.publish_task(task_info(source), nonce=count)
    assert int(bare.rpc("eth_getTransactionCount", bare.address(), "latest"), 16) == count + 1


def test_what_was_refused_is_not_sent_again_while_that_is_being_stored(
    bare: RunningNetwork, proxy: Proxy, tmp_path: Path
) -> None:
    """A journal that is slow just then: the node, asked once more, would have taken it."""

    def at(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_BEGUN and proxy.faults[SEND, Fault.REFUSED]:
            time.sleep(3 * FIRST_RESEND)

    journal = Journal(tmp_path / "journal.sqlite3", at=at)
    with Client(through(bare, proxy.url), journal=journal) as client:
        source = client.publish_source(source_info())
        info = task_info(source)
        proxy.order(SEND, Fault.REFUSED)
        with pytest.raises(InsufficientFunds):
            client.publish_task(info, idempotency_key="k")
        assert tasks_of(client, source) == 0
        client.publish_task(info, idempotency_key="k")
        assert tasks_of(client, source) == 1
