"""The network on which the transaction engine is proved, and one case on it after the other."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ogpu.networks import Network
from ogpu.types import TaskInfo, TaskInput
from tests.support.canaries import keep_secret
from tests.support.invariants import Block, Found, check_chain, vault_balance
from tests.support.localnet import RunningNetwork, started, wait_until
from tests.support.market import PRICE, through
from tests.support.plain import ask
from tests.support.proxy import Proxy, proxied

COIN = 10**18
MOST_LAG = 5  # blocks; more than the proxy's nodes are behind
FUNDS = 1_000 * COIN  # of an account of a case, in its wallet and as much in the Vault


@dataclass(frozen=True)
class Case:
    """One case: where the chain stood, and an account that has done nothing before it."""

    network: RunningNetwork
    source: str
    sender: str
    key: str = field(repr=False)
    since_block: int
    balance: int  # in the Vault, in wei

    def through(self, *urls: str) -> Network:
        """The network for a client, with other RPC URLs, such as a proxy's."""
        return through(self.network, *(urls or (self.network.url,)))

    def task(self, key: str, payment: int = PRICE) -> TaskInfo:
        """The task of a key; the chain shows whose it is."""
        return TaskInfo(self.source, TaskInput("echo", {"key": key}), int(time.time()) + 3600, payment)

    @contextlib.contextmanager
    def proxy(self) -> Iterator[Proxy]:
        """A proxy before the network's node."""
        with proxied(self.network.url) as running:
            yield running

    def found(self, blocks: Sequence[Block] | None = None) -> Found:
        """What the chain has of the account; there is no nonce gap. `blocks` are the case's, once read."""
        return check_chain(self.network, self.sender, since_block=self.since_block, blocks=blocks)

    def check(
        self, done: list[str], none: list[str] | None = None, blocks: Sequence[Block] | None = None
    ) -> Found:
        """Each key of `done` was executed and paid for once, none of `none`, and nothing else."""
        found = self.found(blocks)
        found.assert_once(done, none or [])
        deposited = sum(transaction.value for transaction in found.mined if transaction.succeeded)
        spent = self.balance - vault_balance(self.network, self.sender)
        assert spent == found.paid - deposited
        return found

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks now."""
        self.network.rpc("anvil_mine", hex(blocks))

    def automine(self, on: bool) -> None:
        """Whether each transaction gets a block at once."""
        self.network.rpc("evm_setAutomine", on)

    def reorganize(self, depth: int) -> None:
        """Put other, empty blocks in the place of the last ones; the pool forgets their transactions too."""
        self.network.rpc("anvil_reorg", depth, [])

    def block_number(self) -> int:
        return int(self.network.rpc("eth_blockNumber"), 16)


@dataclass(frozen=True)
class Stage:
    """A running network without a provider, with a source."""

    network: RunningNetwork
    source: str

    @contextlib.contextmanager
    def case(self) -> Iterator[Case]:
        """A fresh account with funds; the chain is wound back at the end."""
        snapshot = self.network.rpc("evm_snapshot")
        try:
            yield self._new_case()
        finally:
            calls: list[tuple[str, list[object]]] = [
                ("evm_setAutomine", [True]),
                ("anvil_dropAllTransactions", []),
                ("evm_revert", [snapshot]),
            ]
            assert ask(self.network.url, calls)[-1], "the chain was not wound back"

    def _new_case(self) -> Case:
        from eth_account import Account

        key = "0x" + secrets.token_hex(32)
        keep_secret(key)
        sender = Account.from_key(key).address
        self.network.rpc("anvil_setBalance", sender, hex(2 * FUNDS))
        calldata = "0xf340fa01" + sender[2:].lower().rjust(64, "0")  # deposit(address)
        self.network.transact_raw("Vault", calldata, sender=sender, value=FUNDS)
        self.network.rpc("anvil_mine", hex(MOST_LAG))  # a node that lags has the account all the same
        # As the account's nonce is not 0 now, a client that begins at 0 is found out.
        return Case(self.network, self.source, sender, key, self._head(), FUNDS)

    def _head(self) -> int:
        return int(self.network.rpc("eth_blockNumber"), 16)


@contextlib.contextmanager
def staged(folder: Path, *arguments: str) -> Iterator[Stage]:
    """A network of `ogpu up --no-provider` with these arguments, with a source."""
    with started(folder, "--no-provider", *arguments) as network:
        yield Stage(network, publish_source(network))


def publish_source(network: RunningNetwork) -> str:
    """Publish a source without the library; its address."""
    params = (network.address(), "https://example.org/ipfs/none", 1, 1, 0, 86400, False, "", 0, 0)
    before = network.rpc("eth_blockNumber")
    network.transact("Nexus", "publishSource", params)
    logs = wait_until(
        lambda: network.rpc(
            "eth_getLogs", {"fromBlock": before, "address": network.document["contracts"]["NEXUS"]}
        ),
        what="the source",
    )
    return "0x" + str(logs[-1]["data"])[-40:]
