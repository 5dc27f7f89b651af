"""Nonces: looked at and mended, and never at the cost of a transaction that somebody waits for."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from eth_account import Account
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import set_policy, source_info, task_info, through
from tests.support.proxy import proxied

from ogpu import AsyncClient, Client
from ogpu.client import clear_all_nonce_caches, fix_nonce, get_nonce_info, publish_source, reset_nonce_cache
from ogpu.errors import (
    InvalidInput,
    NonceConflict,
    NonceInUse,
    OGPUError,
    TransactionDropped,
    TransactionUndetermined,
)

GWEI = 10**9


def stuck(network: RunningNetwork, nonce: int, max_fee: int = 3 * GWEI, priority: int = GWEI) -> str:
    """A transaction of the client's key that another program left at that nonce."""
    transaction = {
        "chainId": 1337,
        "nonce": nonce,
        "to": network.address("client", 1),
        "value": 12345,
        "gas": 21000,
        "maxFeePerGas": max_fee,
        "maxPriorityFeePerGas": priority,
        "type": 2,
    }
    raw = Account.from_key(network.key()).sign_transaction(transaction).raw_transaction
    return str(network.rpc("eth_sendRawTransaction", "0x" + raw.hex()))


def mined(network: RunningNetwork) -> int:
    return int(network.rpc("eth_getTransactionCount", network.address(), "latest"), 16)


@pytest.fixture
def paused(held: RunningNetwork) -> Iterator[RunningNetwork]:
    """A network that has stopped to mine."""
    held.rpc("evm_setAutomine", False)
    yield held
    held.rpc("evm_setAutomine", True)


class Miner:
    """Mines a block now and then, as a chain does; not before what is `stuck` has been replaced."""

    def __init__(self, network: RunningNetwork, stuck: Sequence[str] = ()) -> None:
        self._network, self._stop, self._stuck = network, threading.Event(), list(stuck)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            if any(self._network.rpc("eth_getTransactionByHash", tx_hash) for tx_hash in self._stuck):
                continue
            self._stuck.clear()
            self._network.rpc("evm_mine")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_what_is_known_of_nonces(paused: RunningNetwork) -> None:
    first = mined(paused)
    stuck(paused, first)
    stuck(paused, first + 1)
    assert get_nonce_info() == {
        "address": paused.address(),
        "mined_nonce": first,
        "pending_nonce": first + 2,
        "cached_nonce": None,
        "has_pending": True,
        "pending_count": 2,
    }
    other = get_nonce_info(address=paused.address("client", 1))
    assert (other["address"], other["has_pending"]) == (paused.address("client", 1), False)


def test_stuck_transactions_are_replaced_and_gaps_filled(paused: RunningNetwork) -> None:
    first = mined(paused)
    hashes = [stuck(paused, first), stuck(paused, first + 1), stuck(paused, first + 3)]  # a gap at 2
    with Miner(paused, hashes):
        assert fix_nonce() == first + 4
    assert mined(paused) == first + 4
    assert [paused.rpc("eth_getTransactionReceipt", tx_hash) for tx_hash in hashes] == [None] * 3
    source = publish_source
    paused.rpc("evm_setAutomine", True)
    assert source(source_info())


def test_the_replacement_pays_over_the_stuck_one_s_own_fee(paused: RunningNetwork) -> None:
    """A stuck transaction with a high fee is replaced at a tenth over *its* fees, both of them."""
    first = mined(paused)
    tx_hash = stuck(paused, first, max_fee=50 * GWEI, priority=20 * GWEI)
    with Miner(paused, [tx_hash]):
        fix_nonce()
    block = next(
        block
        for number in range(int(paused.rpc("eth_blockNumber"), 16), 0, -1)
        if (block := paused.rpc("eth_getBlockByNumber", hex(number), True))["transactions"]
    )
    (replacement,) = block["transactions"]
    assert int(replacement["maxFeePerGas"], 16) >= 55 * GWEI
    assert int(replacement["maxPriorityFeePerGas"], 16) >= 22 * GWEI
    assert (int(replacement["value"], 16), replacement["to"]) == (0, paused.address().lower())


def test_a_transaction_that_is_waited_for_is_left_alone(paused: RunningNetwork) -> None:
    with Client(through(paused, paused.url)) as client:
        published: list[str] = []
        caller = threading.Thread(target=lambda: published.append(client.publish_source(source_info())))
        caller.start()
        wait_until(lambda: int(paused.rpc("txpool_status")["pending"], 16), what="the send")
        with pytest.raises(NonceInUse, match=r"Nexus\.publishSource") as caught:
            client.fix_nonce()
        assert caught.value.facts["nonces"] == [mined(paused)]
        paused.rpc("evm_mine")
        caller.join(20)
        assert len(published) == 1


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Run work in a thread; what it raises comes into the list."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except OGPUError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def test_force_replaces_it_and_its_caller_is_told(paused: RunningNetwork) -> None:
    with Client(through(paused, paused.url)) as client:
        with Miner(paused):
            source = client.publish_source(source_info())
        caller, failures = in_thread(lambda: client.publish_task(task_info(source)))
        wait_until(lambda: int(paused.rpc("txpool_status")["pending"], 16), what="the send")
        with Miner(paused):
            client.fix_nonce(force=True)
            caller.join(30)
        assert [type(error) for error in failures] == [TransactionDropped]
        assert client.get_source(source).task_count == 0


def test_what_another_client_of_the_program_waits_for_is_left_alone(paused: RunningNetwork) -> None:
    with Client(through(paused, paused.url)) as one, Client(through(paused, paused.url)) as other:
        caller, failures = in_thread(lambda: one.publish_source(source_info()))
        wait_until(lambda: int(paused.rpc("txpool_status")["pending"], 16), what="the send")
        with pytest.raises(NonceInUse):
            other.fix_nonce()
        paused.rpc("evm_mine")
        caller.join(30)
        assert not failures


def test_a_transaction_that_the_node_lost_does_not_block_the_next(paused: RunningNetwork) -> None:
    """Left open, then dropped by the node: its bytes are offered again, and the next call goes on."""
    with Client(through(paused, paused.url)) as client:
        with Miner(paused):
            source = client.publish_source(source_info())
        set_policy(client, receipt_timeout=0.5)
        with pytest.raises(TransactionUndetermined):
            client.publish_task(task_info(source, n=1))
        paused.rpc("anvil_dropAllTransactions")
        set_policy(client, receipt_timeout=60)
        with Miner(paused):
            client.publish_task(task_info(source, n=2))
            client.publish_task(task_info(source, n=1))  # the one that was left open
        assert client.get_source(source).task_count == 2


@pytest.mark.parametrize(
    ("ahead", "text"), [(-1, "is used already"), (1, "leaves a gap"), (2**63, "leaves a gap")]
)
def test_a_nonce_that_cannot_be_right_is_reported_at_once(
    bare: RunningNetwork, ahead: int, text: str
) -> None:
    publish_source(source_info())
    with pytest.raises(NonceConflict, match=text):
        publish_source(source_info(), nonce=mined(bare) + ahead)
    assert publish_source(source_info())


def test_equal_calls_that_were_left_open_are_each_taken_up_once(paused: RunningNetwork) -> None:
    with Client(through(paused, paused.url)) as client:
        with Miner(paused):
            source = client.publish_source(source_info())
        set_policy(client, receipt_timeout=0.5)
        info = task_info(source)
        callers = [in_thread(lambda: client.publish_task(info)) for _ in range(3)]
        for caller, _ in callers:
            caller.join(30)
        assert [type(error) for _, failures in callers for error in failures] == [TransactionUndetermined] * 3
        set_policy(client, receipt_timeout=60)
        with Miner(paused):
            tasks = {client.publish_task(info) for _ in range(3)}
        assert len(tasks) == 3
        assert client.get_source(source).task_count == 3


def test_an_open_call_is_taken_up_before_it_is_checked_again(held: RunningNetwork) -> None:
    """The payment has left the Vault meanwhile, so the checks of a new publish would fail."""
    with Client(through(held, held.url)) as client:
        source = client.publish_source(source_info())
        info = task_info(source)
        info.payment = client.vault.account(held.address()).balance
        held.rpc("evm_setAutomine", False)
        set_policy(client, receipt_timeout=0.5)
        with pytest.raises(TransactionUndetermined):
            client.publish_task(info)
        held.rpc("evm_mine")
        task = client.publish_task(info)
        assert client.get_task(task).payment == info.payment
        assert client.get_source(source).task_count == 1


def test_only_its_own_key_can_mend_an_account(bare: RunningNetwork) -> None:
    with pytest.raises(InvalidInput, match="only its own key"):
        fix_nonce(address=bare.address("client", 1))
    assert fix_nonce(address=bare.address().lower()) == mined(bare)


def test_a_nonce_that_others_hold_is_reported_when_mending_is_off(paused: RunningNetwork) -> None:
    first = mined(paused)
    stuck(paused, first, max_fee=500 * GWEI, priority=100 * GWEI)
    with Client(through(paused, paused.url)) as client, pytest.raises(NonceConflict, match=f"nonce {first}"):
        client.publish_source(source_info(), nonce=first, auto_fix_nonce=False)


def test_caches_are_per_chain_and_address(bare: RunningNetwork, held: RunningNetwork) -> None:
    """The same key on two networks: the one's nonce says nothing about the other's."""
    key = bare.key()
    address = bare.address()
    held.rpc("anvil_setBalance", address, hex(10**20))
    held.transact("Vault", "setWhitelist", address, True, sender=held.admin())
    with Client(through(bare, bare.url), private_key=key) as one:
        for _ in range(3):
            one.publish_source(source_info())
        with Client(through(held, held.url), private_key=key) as two:
            assert two.get_nonce_info()["cached_nonce"] is None
            two.publish_source(source_info())
            assert two.get_nonce_info()["cached_nonce"] == 1
        assert one.get_nonce_info()["cached_nonce"] == one.get_nonce_info()["mined_nonce"]


def test_caches_can_be_cleared(bare: RunningNetwork) -> None:
    publish_source(source_info())
    assert get_nonce_info()["cached_nonce"] == mined(bare)
    reset_nonce_cache()
    assert get_nonce_info()["cached_nonce"] is None
    publish_source(source_info())
    clear_all_nonce_caches()
    assert get_nonce_info()["cached_nonce"] is None


def test_a_chain_that_was_started_anew_does_not_stop_us(bare: RunningNetwork) -> None:
    snapshot = bare.rpc("evm_snapshot")
    publish_source(source_info())
    publish_source(source_info())
    bare.rpc("evm_revert", snapshot)
    assert publish_source(source_info())
    assert get_nonce_info()["has_pending"] is False


def _in_child(queue: multiprocessing.Queue[str]) -> None:
    queue.put(publish_source(source_info()))


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")  # that is the test
def test_it_works_after_a_fork(bare: RunningNetwork) -> None:
    publish_source(source_info())
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30).startswith("0x")
    child.join(30)
    assert child.exitcode == 0
    assert publish_source(source_info())


def test_it_works_where_an_event_loop_runs(bare: RunningNetwork) -> None:
    """As in Jupyter: a synchronous call inside a running loop."""

    async def cell() -> str:
        return publish_source(source_info())

    assert asyncio.run(cell()).startswith("0x")


def test_the_asynchronous_client_does_many_at_once(bare: RunningNetwork) -> None:
    async def main() -> tuple[str, list[str]]:
        async with AsyncClient(through(bare, bare.url)) as client:
            source = await client.publish_source(source_info())
            tasks = await asyncio.gather(*(client.publish_task(task_info(source, n=n)) for n in range(10)))
            assert (await client.get_source(source)).task_count == 10
            return source, tasks

    _, tasks = asyncio.run(main())
    assert len(set(tasks)) == 10


def test_a_chain_id_that_is_wrong_stops_before_signing(bare: RunningNetwork) -> None:
    from dataclasses import replace

    from ogpu.errors import WrongChain

    with proxied(bare.url) as proxy:
        network = replace(through(bare, proxy.url), chain_id=1071)
        with Client(network) as client, pytest.raises(WrongChain, match="1071"):
            client.publish_source(source_info())
        assert not proxy.raw_sent
