"""Something that happens on a local network at a moment that is known: deposits, one a block."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from shared.network import BenchNetwork, rpc

DEPOSIT = "0xf340fa01"  # deposit(address)
GAS = 200_000


class Deposits:
    """Deposits by an account that the node signs for, on a connection that stays open."""

    def __init__(self, network: BenchNetwork) -> None:
        self.account = str(network.document["accounts"]["client"][1]["address"])
        rpc(network.url, "anvil_impersonateAccount", self.account)
        parts = urlsplit(network.url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        self._vault = network.contract("VAULT")

    def make(self, amount: int) -> float:
        """Let a `Deposited` of that many wei be mined; the moment at which the node has said so."""
        call = {
            "from": self.account,
            "to": self._vault,
            "data": DEPOSIT + self.account[2:].rjust(64, "0"),
            "value": hex(amount),
            "gas": hex(GAS),
        }
        self._ask("eth_sendTransaction", call)
        return time.perf_counter()

    def _ask(self, method: str, *params: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
