"""A bare anvil that a test may stop, kill and start again at its port, with a contract that logs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ogpu.localnet.node import HOST, find_anvil
from ogpu.localnet.processes import end_with_parent
from tests.support.localnet import rpc, wait_until
from tests.support.ports import kept

CHAIN_ID = 31337
LOGGER = "0x" + "10" * 20
OTHER = "0x" + "20" * 20  # logs the same
# Logs n, n - 1, … 1, n being the call's first word: LOG2 of topic 0x2a and the number, which is the data too.
_LOGGING = "0x6000355b8015601c578060005280602a60206000a2600190036003565b00"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0


@dataclass
class Anvil:
    """A node of its own."""

    binary: Path
    port: int
    arguments: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers. Not in a thread, with whose end it would end."""
        self._process = subprocess.Popen(
            [str(self.binary), "--host", HOST, "--port", str(self.port), "--silent", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=end_with_parent(),
        )
        wait_until(self._answers, START_TIMEOUT, "anvil's start")

    def _answers(self) -> bool:
        try:
            return bool(self.rpc("eth_blockNumber"))
        except OSError:
            return False

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as Ctrl+C does, so that it writes down its state."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_TIMEOUT)
            self._process = None

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call."""
        return rpc(self.url, method, *params)

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks."""
        self.rpc("anvil_mine", hex(blocks))

    def log(self, count: int = 1, address: str = LOGGER) -> int:
        """Log so many numbers in one transaction, and mine it; the block's number."""
        call = {"from": self.sender, "to": address, "data": f"0x{count:064x}", "gas": hex(25_000_000)}
        tx_hash = self.rpc("eth_sendTransaction", call)
        receipt = wait_until(lambda: self.rpc("eth_getTransactionReceipt", tx_hash), what="the receipt")
        assert receipt["status"] == "0x1"
        return int(receipt["blockNumber"], 16)

    def block(self, number: int) -> Any:
        """A block without its transactions."""
        return self.rpc("eth_getBlockByNumber", hex(number), False)

    def logs(self) -> list[Any]:
        """All that the first contract has logged."""
        found: list[Any] = self.rpc("eth_getLogs", {"address": LOGGER, "fromBlock": "0x0"})
        return found

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def sender(self) -> str:
        return str(self.rpc("eth_accounts")[0])

    def head(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def chain(self) -> list[str]:
        """The hashes of all blocks, by number."""
        return [self.rpc("eth_getBlockByNumber", hex(n), False)["hash"] for n in range(self.head() + 1)]


@contextlib.contextmanager
def anvil(*arguments: str) -> Iterator[Anvil]:
    """A running node on a free port, whose two contracts log."""
    with kept() as port:
        node = Anvil(asyncio.run(find_anvil(lambda _: None)), port, arguments)
        node.start()
        try:
            for address in (LOGGER, OTHER):
                node.rpc("anvil_setCode", address, _LOGGING)
            yield node
        finally:
            node.kill()
