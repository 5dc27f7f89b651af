"""A chain with a life of its own: all that the protocol has, at random; replaced blocks; a new start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ogpu.localnet.accounts import Accounts, make_accounts
from ogpu.localnet.deploy import deploy
from ogpu.localnet.node import HOST, bound, find_anvil
from ogpu.localnet.processes import end_with_parent
from ogpu.networks import Network
from ogpu.rpc.codec import decoded_events, interface
from ogpu.rpc.transport import RPC
from tests.support.localnet import rpc, wait_until

CHAIN_ID = 1337
COIN = 10**18
DEEPEST = 16  # blocks that are replaced at once
BLOCK_TIME = 20  # seconds from one block to the next, by the chain's clock
GAS, GAS_PRICE = hex(3_000_000), hex(10**10)
WORDS = (
    "ipfs://a",
    "ipfs://bb/ünïcode",
    "nul\0in text",
    "\u202etxt.exe",
    "<script>",
    "'; DROP TABLE tasks; --",
    "😀" * 9,
)

NEW = {"SourcePublished": "source", "TaskPublished": "task", "ResponseSubmitted": "response"}

Transaction = dict[str, str]


class Story:
    """One chain and who lives on it. `live` lets a number of blocks pass."""

    def __init__(self, seed: int, port: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.url = f"http://{HOST}:{port}"
        self.replaced = self.restarts = 0
        self.down = False
        self._port = port
        self._first = 0
        self._genesis = int(time.time())
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._accounts: Accounts = make_accounts(4)
        self._people = [account.address for account in self._accounts.all()]
        self._items: dict[str, list[str]] = {"source": [], "task": [], "response": []}
        self._attempts: list[tuple[str, str]] = []
        self.network: Network

    def begin(self) -> None:
        """Start the node and put the protocol on it."""
        self._start()
        contracts = asyncio.run(self._deployed())
        self.network = Network("story", CHAIN_ID, (self.url,), contracts, "", "", "")
        self._settings()
        self._mine([self._call(self._admin, "Vault", "setMaxUnbondingPeriod", 10 * BLOCK_TIME)])
        self._first = self.head()[0]  # what is before it is not replaced

    def live(self, blocks: int) -> None:
        """Let so many blocks pass, and what happens between them."""
        for _ in range(blocks):
            self._mine([self._anything() for _ in range(self.random.choice((0, 1, 3, 6, 10)))])
            chance = self.random.random()
            depth = min(self.random.randint(1, DEEPEST), self.head()[0] - self._first)
            if chance < 0.1 and depth > 0:
                self._replace(depth)
            elif chance < 0.12:
                self._restart()

    def grow(self, blocks: int) -> None:
        """Let so many blocks pass, which come to stay."""
        for _ in range(blocks):
            self._mine([self._anything() for _ in range(10)])

    def forget(self) -> None:
        """Start the node again, which then lacks the states of all blocks but the newest."""
        self._restart(keep_states=False)

    def end(self) -> None:
        """End the node."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def head(self) -> tuple[int, str]:
        """The newest block's number and hash."""
        block = rpc(self.url, "eth_getBlockByNumber", "latest", False)
        return int(block["number"], 16), str(block["hash"])

    @property
    def _admin(self) -> str:
        return self._accounts.admin.address

    async def _deployed(self) -> dict[str, str]:
        connection = RPC([self.url], CHAIN_ID)
        try:
            return await deploy(connection, CHAIN_ID, self._accounts)
        finally:
            await connection.close()

    def _start(self) -> None:
        binary = asyncio.run(find_anvil(lambda _: None))
        arguments = [
            "--host",
            HOST,
            "--port",
            str(self._port),
            "--chain-id",
            str(CHAIN_ID),
            "--accounts",
            "1",
        ]
        # Without its old states a node that was started again could not be asked what was at a block.
        arguments += ["--state", str(self._folder / "chain.json"), "--preserve-historical-states", "--silent"]
        arguments += [
            "--timestamp",
            str(self._genesis),
        ]  # it makes the first block anew, which must be the same
        self._process = subprocess.Popen(
            [str(binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=end_with_parent(),
        )
        wait_until(self._answers, what="anvil's start")

    def _answers(self) -> bool:
        try:
            return bool(rpc(self.url, "eth_blockNumber"))
        except OSError:
            return False

    def _settings(self) -> None:
        self._ask(
            ("anvil_autoImpersonateAccount", [True]),
            ("evm_setAutomine", [False]),
            ("anvil_setBlockTimestampInterval", [BLOCK_TIME]),
        )

    def _restart(self, *, keep_states: bool = True) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)  # it writes its state
        self._process.wait()
        if not keep_states:
            chain = self._folder / "chain.json"
            saved = json.loads(chain.read_text())
            saved["historical_states"] = None
            chain.write_text(json.dumps(saved))
        self._start()
        self._settings()
        self.restarts += 1
        self._first = (
            self.head()[0] + 1
        )  # anvil cannot go back to what it has loaded: contracts lose their code

    def _replace(self, depth: int) -> None:
        """Replace the last blocks, by others with other transactions in them."""
        instead = [
            [self._anything(), place] for place in range(depth) for _ in range(self.random.choice((0, 0, 2)))
        ]
        self._ask(("anvil_reorg", [depth, instead]))
        self.replaced += 1
        self._learn(depth)

    def _mine(self, transactions: Sequence[Transaction]) -> None:
        self._ask(*(("eth_sendTransaction", [one]) for one in transactions), ("evm_mine", []))
        self._learn(1)

    def _learn(self, blocks: int) -> None:
        """Note which items are new."""
        number, _ = self.head()
        query = {"address": self.network.contracts["NEXUS"], "fromBlock": hex(number - blocks + 1)}
        for event in decoded_events(rpc(self.url, "eth_getLogs", query)):
            if event.name in NEW:
                kind = NEW[event.name]
                self._items[kind].append(event.arguments[kind])
            elif event.name == "Attempted":
                self._attempts.append((event.arguments["task"], event.arguments["provider"]))

    def _item(self, kind: str) -> str:
        """Mostly one of the newest ones, as those are not settled yet."""
        items = self._items[kind][-6:]
        return self.random.choice(items) if items else self._admin

    def _anything(self) -> Transaction:
        """A call of anybody for anything; many are refused."""
        pick = self.random.choice
        person, other = pick(self._people), pick(self._people)
        client = pick(self._accounts.client).address
        amount = self.random.randint(0, 3 * COIN)
        place = self.random.randrange(len(self._accounts.provider))
        provider, master = self._accounts.provider[place].address, self._accounts.master[place].address
        source, task, response = map(self._item, ("source", "task", "response"))
        tried, its = pick(self._attempts[-5:] or [(task, provider)])
        price = pick((0, 10**14, 10**15))
        calls: dict[int, list[tuple[Any, ...]]] = {
            24: [(client, "Controller", "publishTask", self._task(source)),
                 (provider, "Nexus", "attempt", task, provider, price),
                 (its, "Nexus", "submitResponse", (tried, its, self._text(), price)),
                 (client, "Controller", "confirmResponse", response),
                 (provider, "Nexus", "register", source, provider, 1)],
            4: [(client, "Nexus", "publishSource", self._terms(client)),
                (client, "Nexus", "updateSource", source, self._terms(client)),
                (provider, "Terminal", "setLiveData", self._text()),
                (provider, "Terminal", "announceMaster", master),
                (person, "Vault", "lock", amount),
                (person, "Vault", "unbond", amount // 2)],
            1: [(client, "Nexus", "inactivateSource", source),
                (provider, "Nexus", "unregister", source, provider),
                (client, "Controller", "cancelTask", task),
                (client, "Vault", "forceReleasePayment", client, task),
                (person, "Vault", "withdraw", amount),
                (person, "Vault", "cancelUnbonding"),
                (person, "Vault", "claim"),
                (self._admin, "Vault", "sanction", provider, amount // 4),
                (self._admin, "Vault", "waive", provider, amount // 8),
                (self._admin, "Vault", "withdrawSanctionOf", provider),
                (self._admin, "Vault", "emergencyExit", person),
                (master, "Terminal", "removeProvider", provider),
                (master, "Terminal", "removeContainer", provider, source),
                (provider, "Terminal", "announceMaster", other),
                (person, "Terminal", "setAgent", other, pick((True, False))),
                (person, "Terminal", "setDefaultAgentDisabled", pick((True, False))),
                (person, "Terminal", "setBaseData", self._text())],
        }  # fmt: skip
        paying = [
            (person, "Vault", "deposit", other),
            (master, "Terminal", "announceProvider", provider, 10 * amount),
        ]
        if self.random.random() < 0.08:
            call: tuple[Any, ...] = pick(paying)
            return self._call(*call, value=amount if len(call) == 4 else 10 * amount)
        if self.random.random() < 0.01:  # from one client to another: refunds go to the new one
            return self._to(client, task, interface("Task").functions["transferOwnership"].encode(other))
        (weight,) = self.random.choices(list(calls), [weight * len(some) for weight, some in calls.items()])
        return self._call(*pick(calls[weight]))

    def _text(self) -> str:
        return f"{self.random.choice(WORDS)} {self.random.randrange(10**9)}"

    def _terms(self, client: str) -> tuple[Any, ...]:
        pick = self.random.choice
        longest, price = pick((60, 2000, 2**255)), pick((0, 10**15))
        texts, private, delivery = (self._text(), self._text()), pick((True, False)), pick((0, 1))
        return (client, texts[0], pick((1, 3, 7)), price, 0, longest, private, texts[1], delivery, 0)

    def _task(self, source: str) -> tuple[Any, ...]:
        block = rpc(self.url, "eth_getBlockByNumber", "latest", False)
        expiry = int(block["timestamp"], 16) + self.random.choice((4, 20, 60)) * BLOCK_TIME
        return (source, self._text(), expiry, self.random.randint(10**15, COIN))

    def _call(
        self, sender: str, contract: str, function: str, *arguments: Any, value: int = 0
    ) -> Transaction:
        data = interface(contract).functions[function].encode(*arguments)
        return self._to(sender, self.network.contracts[contract.upper()], data, value)

    @staticmethod
    def _to(sender: str, to: str, data: str, value: int = 0) -> Transaction:
        return {
            "from": sender,
            "to": to,
            "data": data,
            "value": hex(value),
            "gas": GAS,
            "gasPrice": GAS_PRICE,
        }

    def _ask(self, *requests: tuple[str, Sequence[Any]]) -> None:
        """Requests that have to succeed, in one go."""
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(requests)
        ]
        request = urllib.request.Request(
            self.url, json.dumps(calls).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            failed = [answer["error"] for answer in json.loads(response.read()) if "error" in answer]
        assert not failed, failed[0]


@contextlib.contextmanager
def story(seed: int, folder: Path) -> Iterator[Story]:
    """A chain that has begun."""
    with bound(0, "node") as free:
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    told = Story(seed, port, folder)
    try:
        told.begin()
        yield told
    finally:
        told.end()
