"""Many proofs at once: programs with an account, a client and a proxy each, on one chain and one journal."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from ogpu import AsyncClient, Client
from ogpu.networks import Network
from ogpu.tx.journal import Journal
from tests.support.faults import SEND
from tests.support.invariants import read_blocks
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.localnet import wait_until
from tests.support.plain import ask
from tests.support.proxy import Proxy
from tests.support.stage import FUNDS, Case

PATIENCE = 60.0  # seconds
RECEIPT = "eth_getTransactionReceipt"
DEPOSIT = "0xf340fa01"  # deposit(address)

Call = Callable[..., Any]  # a client's method by its name, and what it is given


@dataclass
class Program:
    """A client that sees the chain through a proxy only, and the account that nobody else sends from."""

    case: Case
    proxy: Proxy
    call: Call
    journal: Path
    timeout: float
    loop: asyncio.AbstractEventLoop | None  # of an `AsyncClient`
    done: list[str] = field(default_factory=list)  # keys that must be executed
    strangers: list[str] = field(default_factory=list)  # hashes of another program's transactions

    @contextlib.contextmanager
    def another(self, *urls: str, **changes: Any) -> Iterator[Call]:
        """One more client of the same account and journal; through the proxy unless there are other URLs."""
        arguments = {
            "private_key": self.case.key,
            "journal": opened_journal(self.journal),
            "timeout": self.timeout,
        } | changes
        with opened(self.case.through(*(urls or (self.proxy.url,))), self.loop, **arguments) as call:
            yield call

    def stranger(self, nonce: int | None = None) -> None:
        """Another program, with another journal, sends an empty transfer; at the next nonce it is mined."""
        sender, rpc = self.case.sender, self.case.network.rpc
        fields = {"from": sender, "to": sender, "gas": hex(21_000)}
        if nonce is not None:
            fields["nonce"] = hex(nonce)
        sent = rpc("eth_sendTransaction", fields)
        self.strangers.append(sent)
        if nonce is None:
            wait_until(lambda: rpc(RECEIPT, sent), PATIENCE, "a stranger's transaction")

    def mined(self, raw: str) -> None:
        """Wait until a transaction is in a block."""
        sent = "0x" + keccak(hexstr=raw).hex()
        wait_until(lambda: self.case.network.rpc(RECEIPT, sent), PATIENCE, "the transaction's block")

    def at_the_send(
        self, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
    ) -> None:
        """Do something before the next send goes to the node, and after it was there."""
        begun, answered = threading.Event(), threading.Event()

        def hold(method: str) -> None:
            if method == SEND and not begun.is_set():
                begun.set()
                if before:
                    before()

        def hold_after(method: str) -> None:
            if method == SEND and not answered.is_set():
                if after:
                    after()
                answered.set()

        self.proxy.hold, self.proxy.hold_after = hold, hold_after

    def calm(self) -> None:
        """From now on the proxy does nothing but pass on, and remembers nothing."""
        self.proxy.calm()
        self.proxy.hold = self.proxy.hold_after = None
        self.proxy.raw_sent.clear()
        self.proxy.faults.clear()


def accounts(case: Case, count: int) -> list[Case]:
    """Fresh accounts beside the case's own, with funds, whose nonce is not 0; the node signs for them too."""
    from eth_account import Account

    url, vault = case.network.url, case.network.document["contracts"]["VAULT"]
    keys = [Account.create() for _ in range(count)]
    senders = [account.address for account in keys]
    ask(url, [("anvil_setBalance", [sender, hex(2 * FUNDS)]) for sender in senders])
    ask(url, [("anvil_impersonateAccount", [sender]) for sender in senders])
    deposits = [
        {"from": sender, "to": vault, "value": hex(FUNDS), "data": DEPOSIT + sender[2:].lower().zfill(64)}
        for sender in senders
    ]
    hashes = ask(url, [("eth_sendTransaction", [deposit]) for deposit in deposits])
    wait_until(lambda: all(ask(url, [(RECEIPT, [tx_hash]) for tx_hash in hashes])), what="the deposits")
    head = case.block_number()
    return [
        replace(case, sender=sender, key="0x" + account.key.hex().removeprefix("0x"), since_block=head)
        for sender, account in zip(senders, keys, strict=True)
    ]


@contextlib.contextmanager
def programs(
    case: Case, names: Sequence[str], journal: Path, *, sync: bool, timeout: float = 30
) -> Iterator[dict[str, Program]]:
    """A program for each name; all write to one journal. At the end chain and journal are looked at."""
    found: dict[str, Program] = {}
    with contextlib.ExitStack() as stack:
        loop = None if sync else stack.enter_context(running_loop())
        for name, its in zip(names, accounts(case, len(names)), strict=True):
            proxy = stack.enter_context(its.proxy())
            arguments = {"private_key": its.key, "journal": opened_journal(journal), "timeout": timeout}
            call = stack.enter_context(opened(its.through(proxy.url), loop, **arguments))
            found[name] = Program(its, proxy, call, journal, timeout, loop)
        yield found
    check(journal, list(found.values()))


def opened_journal(path: Path) -> Journal:
    """The journal that all write to, however long it takes: SQLite lets one after the other, in no order."""
    return Journal(path, patience=4 * PATIENCE)


@contextlib.contextmanager
def opened(network: Network, loop: asyncio.AbstractEventLoop | None, **arguments: Any) -> Iterator[Call]:
    """A client's methods by name; of an `AsyncClient` when there is a loop for it."""
    if loop is None:
        with Client(network, **arguments) as client:
            yield lambda name, *args, **options: attrgetter(name)(client)(*args, **options)
        return

    def call(name: str, *args: Any, **options: Any) -> Any:
        work = attrgetter(name)(asynchronous)(*args, **options)
        return asyncio.run_coroutine_threadsafe(work, loop).result(4 * PATIENCE)

    async def made() -> AsyncClient:
        return await AsyncClient(network, **arguments).__aenter__()

    asynchronous = asyncio.run_coroutine_threadsafe(made(), loop).result(PATIENCE)
    try:
        yield call
    finally:
        asyncio.run_coroutine_threadsafe(asynchronous.close(), loop).result(PATIENCE)


@contextlib.contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own: the one that an asyncio program has for all that it does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def all_at_once(work: Mapping[str, Callable[[], object]]) -> None:
    """Do everything at the same time; whatever fails is told by its name."""
    with ThreadPoolExecutor(len(work)) as pool:
        futures = {name: pool.submit(do) for name, do in work.items()}
    failed = {name: error for name, future in futures.items() if (error := future.exception())}
    if failed:
        told = "\n".join(f"{name}: {type(error).__name__}: {error}" for name, error in failed.items())
        raise AssertionError(f"{len(failed)} of {len(work)} failed:\n{told}") from next(iter(failed.values()))


def check(journal: Path, ran: Sequence[Program]) -> None:
    """Each key is executed once and nothing else is; the journal says the same, and has nothing open."""
    rows, case = journal_rows(journal), ran[0].case
    blocks = read_blocks(case.network, case.since_block, case.block_number())
    for program in ran:
        found = program.case.check(program.done, blocks=blocks)
        mined = {transaction.hash for transaction in found.mined}
        assert_journal_equals_chain(rows, found, foreign=mined.intersection(program.strangers))
        assert not found.waiting
