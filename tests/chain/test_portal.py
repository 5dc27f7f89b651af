"""The synchronous face: closing, forking, and clients that nobody holds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import source_info, task_info, through
from tests.support.proxy import Fault, proxied

from ogpu import Client
from ogpu.errors import ClientClosed, TaskExpired


def test_closing_ends_the_calls_that_are_on_their_way(held: RunningNetwork) -> None:
    client = Client(through(held, held.url))
    held.rpc("evm_setAutomine", False)
    raised: list[BaseException] = []

    def publish() -> None:
        try:
            client.publish_source(source_info())
        except ClientClosed as error:
            raised.append(error)

    caller = threading.Thread(target=publish)
    caller.start()
    wait_until(lambda: int(held.rpc("txpool_status")["pending"], 16), what="the send")
    client.close()
    caller.join(10)
    assert not caller.is_alive()
    assert len(raised) == 1
    with pytest.raises(ClientClosed):
        client.get_source("0x" + "11" * 20)
    client.close()  # again: nothing happens


def test_a_namespace_keeps_its_client_open(bare: RunningNetwork) -> None:
    vault = Client(through(bare, bare.url)).vault
    assert vault.account(bare.address()).balance > 0


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")  # that is the test
def test_a_fork_does_not_hold_up_the_parent(bare: RunningNetwork) -> None:
    """The child drops what it inherited; the parent's sockets must go on working, at once."""
    with Client(through(bare, bare.url), timeout=30) as client:
        source = client.publish_source(source_info())
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            import gc

            client.get_source(source)
            gc.collect()
            os.write(write, b"1")
            time.sleep(20)
            os._exit(0)
        try:
            assert os.read(read, 1) == b"1"
            started = time.monotonic()
            for _ in range(5):
                client.get_source(source)
            assert time.monotonic() - started < 15  # half of what a lost socket would cost
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(read)
            os.close(write)


PROGRAM = """
from ogpu import Client
from ogpu.client import ChainConfig, get_nonce_info
from tests.support.market import source_info
client = Client()
client.publish_source(source_info())
get_nonce_info()
print("done")
"""


def test_a_program_that_closes_nothing_ends_quietly(bare: RunningNetwork) -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_many_clients_leave_nothing_behind(bare: RunningNetwork) -> None:
    with Client(through(bare, bare.url)) as client:
        client.get_nonce_info()
    threads, files = threading.active_count(), len(os.listdir("/dev/fd"))
    for _ in range(10):
        with Client(through(bare, bare.url)) as client:
            client.get_nonce_info()
    assert threading.active_count() <= threads
    assert len(os.listdir("/dev/fd")) <= files


def test_waiting_for_a_task_that_expired_unanswered_ends_and_its_payment_comes_back(
    bare: RunningNetwork,
) -> None:
    with Client(through(bare, bare.url)) as client:
        info = task_info(client.publish_source(source_info()))
        info.expiryTime = int(time.time()) + 3
        before = client.vault.account(bare.address()).balance
        task = client.publish_task(info)
        bare.rpc("evm_setNextBlockTimestamp", info.expiryTime + 5)
        bare.rpc("evm_mine")
        with pytest.raises(TaskExpired, match="unanswered: it is NEW"):
            client.wait_for_response(task, timeout=30)
        client.vault.force_release_payment(task, role="client")
        assert client.vault.account(bare.address()).balance == before
        with pytest.raises(TaskExpired, match="payment went back"):
            client.wait_for_response(task, timeout=10)


def test_a_lagging_node_is_not_read_as_a_revert(bare: RunningNetwork) -> None:
    with proxied(bare.url) as proxy, Client(through(bare, proxy.url)) as client:
        task = client.publish_task(task_info(client.publish_source(source_info())))
        proxy.order("eth_blockNumber", Fault.BAD_GATEWAY_BEFORE)
        assert client.get_task_responses(task) == []
