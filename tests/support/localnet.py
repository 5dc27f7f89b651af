"""Starting `ogpu up` for tests, and talking to its node without our own client."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ogpu.localnet.processes import end_with_parent
from tests.support.canaries import keep_secret, look, secret_url

START_TIMEOUT = 120.0  # the first start may install anvil
STOP_TIMEOUT = 30.0


@dataclass
class RunningNetwork:
    """A network of `ogpu up`."""

    file: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def document(self) -> dict[str, Any]:
        """The network file."""
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    @property
    def url(self) -> str:
        return str(self.document["rpc_urls"][0])

    def key(self, role: str = "client", position: int = 0) -> str:
        return str(self.document["accounts"][role][position]["private_key"])

    def address(self, role: str = "client", position: int = 0) -> str:
        return str(self.document["accounts"][role][position]["address"])

    def select(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a user does: name the network file, and set a client's key. The node's URL holds a secret."""
        document = self.document
        for urls in ("rpc_urls", "ws_urls"):
            document[urls] = [secret_url(url) for url in document[urls]]
        selected = self.file.with_name("selected.json")
        selected.write_text(json.dumps(document))
        monkeypatch.setenv("OGPU_NETWORK_FILE", str(selected))
        monkeypatch.setenv("CLIENT_PRIVATE_KEY", self.key())

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call, by the standard library."""
        return rpc(self.url, method, *params)

    def admin(self) -> str:
        """The account that deployed the contracts."""
        return "0x" + str(self.view("Nexus", "owner"))[-40:]

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """The raw result of a view call of one of the network's contracts."""
        to, data = self.document["contracts"][contract.upper()], self.calldata(contract, function, *arguments)
        return self.rpc("eth_call", {"to": to, "data": data}, "latest")

    def transact(
        self, contract: str, function: str, *arguments: Any, sender: str | None = None, value: int = 0
    ) -> None:
        """A transaction to one of the network's contracts, from an account that the node signs for."""
        self.transact_raw(contract, self.calldata(contract, function, *arguments), sender=sender, value=value)

    def transact_raw(self, contract: str, data: str, *, sender: str | None = None, value: int = 0) -> None:
        """The same with calldata."""
        sender = sender or self.address()
        self.rpc("anvil_impersonateAccount", sender)
        to = self.document["contracts"][contract.upper()]
        tx_hash = self.rpc(
            "eth_sendTransaction", {"from": sender, "to": to, "data": data, "value": hex(value)}
        )
        receipt = wait_until(lambda: self.rpc("eth_getTransactionReceipt", tx_hash), what="the receipt")
        assert receipt["status"] == "0x1", data

    def calldata(self, contract: str, function: str, *arguments: Any) -> str:
        """Calldata encoded by web3, and not by our own codec."""
        from web3 import Web3

        abi = json.loads(resources.files("ogpu").joinpath("abi", f"{contract}.json").read_text())["abi"]
        return str(Web3().eth.contract(abi=abi).encode_abi(function, args=list(arguments)))

    def said(self) -> str:
        """Everything that the network has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def keys_in(document: dict[str, Any]) -> list[str]:
    """The private keys in a network file."""
    return [account["private_key"] for role in document["accounts"].values() for account in role]


def rpc(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call, by the standard library."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        answer = json.loads(response.read())
    assert "error" not in answer, answer
    return answer["result"]


def wait_until(condition: Any, timeout: float = 20.0, what: str = "it") -> Any:
    """Wait for a condition's truthy value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[RunningNetwork]:
    """`ogpu up` with these arguments, ready; stopped at the end as Ctrl+C would."""
    file, log = folder / "network.json", folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ogpu", "up", "--network-file", str(file), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent(),  # nothing is left when the tests themselves are killed
        )
    network = RunningNetwork(file, log, process)
    try:
        wait_until(lambda: file.exists() or process.poll() is not None, START_TIMEOUT, "the start")
        assert file.exists(), network.said()
        keep_secret(*keys_in(network.document))
        yield network
        look(network.said(), "the output of `ogpu up`")
    finally:
        if process.poll() is None:
            process.send_signal(2)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
