"""A node of its own on which the protocol's contracts emit whatever a test says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode

from ogpu import AsyncClient
from ogpu.localnet.node import HOST
from ogpu.networks import Network
from ogpu.rpc.codec import interface
from tests.support.anvil import CHAIN_ID, Anvil, anvil
from tests.support.localnet import wait_until

# LOG1 of the call's first word as topic, and all that follows as data.
SOMEBODY = "0x" + "5e" * 20

_EMITTING = "0x6000356020360380602060003760" + "00a100"
NAMES = ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER")
CONTRACTS = {name: f"0x{number:040x}" for number, name in enumerate(NAMES, 0xC0DE0001)}


@dataclass
class Emitter:
    """The node, and the network whose contracts are there."""

    node: Anvil

    def network(self, *urls: str, **changes: Any) -> Network:
        """The network for a client; by default through the node itself, without WebSocket."""
        none = "http://127.0.0.1:9"
        return Network("emitting", CHAIN_ID, urls or (self.node.url,), CONTRACTS, none, none, none, **changes)

    def client(self, *urls: str, heard: bool = True) -> AsyncClient:
        """A client of it, which hears of new blocks by WebSocket or not."""
        network = self.network(*urls, ws_urls=(self.ws_url,) if heard else ())
        return AsyncClient(network, journal=":memory:")

    def deposits(self, *amounts: int) -> None:
        """Let the Vault emit a `Deposited` of somebody for each amount, each in a block of its own."""
        for amount in amounts:
            self.emit("Vault", "Deposited", SOMEBODY, amount)

    def reorganise(self, depth: int, *kept: str) -> None:
        """Other blocks instead of the last ones, of which the first has these raw transactions again."""
        self.node.rpc("anvil_reorg", depth, [[raw, 0] for raw in kept])

    def logged(self, first: int = 0) -> list[tuple[str, int]]:
        """Where the chain has all that the contracts have emitted since a block: block hash and log index."""
        query = {"address": list(CONTRACTS.values()), "fromBlock": hex(first)}
        return [(log["blockHash"], int(log["logIndex"], 16)) for log in self.node.rpc("eth_getLogs", query)]

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.node.port}"

    def emit(self, contract: str, event: str, *arguments: Any) -> int:
        """Let a contract emit an event, in a block of its own; the block's number."""
        found = interface(contract).events[event]
        types = [each["type"] for each in found.inputs if not each["indexed"]]
        return self.emit_raw(contract, found.topic, encode(types, arguments).hex())

    def emit_raw(self, contract: str, topic: str, data: str = "") -> int:
        """The same with any topic and data (hex)."""
        call = {
            "from": self.node.sender,
            "to": CONTRACTS[contract.upper()],
            "data": topic + data,
            "gas": hex(1_000_000),
        }
        tx_hash = self.node.rpc("eth_sendTransaction", call)
        receipt = wait_until(lambda: self.node.rpc("eth_getTransactionReceipt", tx_hash), what="the receipt")
        assert receipt["status"] == "0x1"
        assert len(receipt["logs"]) == 1
        return int(receipt["blockNumber"], 16)


@contextlib.contextmanager
def emitter(*arguments: str) -> Iterator[Emitter]:
    """A running node with the contracts."""
    with anvil(*arguments) as node:
        for address in CONTRACTS.values():
            node.rpc("anvil_setCode", address, _EMITTING)
        yield Emitter(node)
