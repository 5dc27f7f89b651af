"""Calls in threads and processes, whose results the test gets back, and what is on its way meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from ogpu import AsyncClient, Client
from ogpu.networks import Network
from ogpu.tx.journal import Intent
from ogpu.tx.signer import resolve_signer
from ogpu.tx.state import Policy
from ogpu.types import TaskInfo
from tests.support.crash import Talk
from tests.support.localnet import wait_until
from tests.support.market import core_of, source_info
from tests.support.proxy import Proxy
from tests.support.stage import Case

T = TypeVar("T")

SEND = "eth_sendRawTransaction"
MENDED = "to be mended"

PATIENCE = 60.0  # seconds


class Threads(Generic[T]):
    """Each piece of work runs in a thread of its own, from now on."""

    def __init__(self, *work: Callable[[], T]) -> None:
        self._threads: list[threading.Thread] = []
        self._outcomes: dict[int, T | Exception] = {}
        self.start(*work)

    def start(self, *work: Callable[[], T]) -> None:
        """Run more."""
        for each in work:
            thread = threading.Thread(target=self._run, args=(len(self._threads), each), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def running(self) -> int:
        """How many have not ended."""
        return sum(thread.is_alive() for thread in self._threads)

    def outcomes(self) -> list[T | Exception]:
        """What each has returned or raised, in order, once all have ended."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"a thread has not ended within {PATIENCE:g} s"
        return [self._outcomes[position] for position in range(len(self._threads))]

    def results(self) -> list[T]:
        """What each has returned; the first error is raised."""
        results = []
        for outcome in self.outcomes():
            if isinstance(outcome, Exception):
                raise outcome
            results.append(outcome)
        return results

    def _run(self, position: int, work: Callable[[], T]) -> None:
        try:
            self._outcomes[position] = work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self._outcomes[position] = error


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, for as long as a busy machine may need."""
    wait_until(condition, PATIENCE, what)


def in_pool(case: Case) -> int:
    """How many transactions wait to be mined."""
    return int(case.network.rpc("txpool_status")["pending"], 16)


def waiters(client: Client) -> int:
    """How many calls wait for the chain through a client."""
    return waiting_for(core_of(client))


def waiting_for(core: AsyncClient) -> int:
    """The same of an asynchronous client."""
    return sum(flight.waiters for flight in core.chain.transactions.follower.waited_for())


def publish_in_a_process(talk: Talk, network: Network, account: str, info: TaskInfo, key: str) -> str:
    """Publish a task: what a child process runs."""
    with Client(network, private_key=account) as client:
        return client.publish_task(info, idempotency_key=key)


def new_source(case: Case) -> str:
    """One more source, of the network's own client."""
    with Client(case.through(), private_key=case.network.key(), journal=":memory:") as client:
        return client.publish_source(source_info())


def inactivate_at_the_send(case: Case, proxy: Proxy, source: str) -> None:
    """Let the next transaction be signed for an active source, and executed when that is inactive."""

    lock = threading.Lock()  # a request may hold many sends, and many requests may come at once
    done = False

    def inactivate(method: str) -> None:
        nonlocal done
        if method != SEND:
            return
        with lock:
            if not done:
                case.network.transact("Nexus", "inactivateSource", source)
            done = True

    proxy.hold = inactivate


@contextlib.contextmanager
def observed(case: Case, policy: Policy | None = None) -> Iterator[tuple[Client, Proxy]]:
    """A client of the account behind a proxy."""
    with (
        case.proxy() as proxy,
        Client(case.through(proxy.url), private_key=case.key, policy=policy) as opened,
    ):
        yield opened, proxy


def on_its_way(case: Case, client: Client, key: str | None = MENDED) -> Threads[str]:
    """The task `MENDED`, sent where no block is mined; its caller waits."""
    before, waiting = in_pool(case), waiters(client)
    threads = Threads(lambda: client.publish_task(case.task(MENDED), idempotency_key=key))
    until(lambda: in_pool(case) == before + 1 and waiters(client) == waiting + 1, what="the send")
    return threads


def replaced(case: Case, tx_hash: str) -> bool:
    """Whether the node's pool has given a transaction up for another."""
    return case.network.rpc("eth_getTransactionByHash", tx_hash) is None


def mined_once_replaced(case: Case, tx_hash: str, work: Callable[[], Intent]) -> Intent:
    """Do something that replaces a transaction, and mine once it is replaced."""
    threads = Threads(work)
    until(lambda: replaced(case, tx_hash), what="the replacement")
    case.mine()
    (intent,) = threads.results()
    return intent


class FailsAt:
    """A signer that does not sign some of its transactions, as a KMS may; counted from 1."""

    def __init__(self, key: str, *numbers: int) -> None:
        self._signer, self._numbers, self._asked = resolve_signer(key), numbers, 0

    @property
    def address(self) -> str:
        return self._signer.address

    async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        self._asked += 1
        if self._asked in self._numbers:
            raise RuntimeError("the KMS is out of order")
        return await self._signer.sign_transaction(transaction)
