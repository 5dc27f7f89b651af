"""A chain with as many events as one likes, of the real contracts, made by a contract."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from ogpu.localnet.accounts import make_accounts
from ogpu.localnet.deploy import deploy
from ogpu.localnet.node import HOST, bound, find_anvil
from ogpu.localnet.processes import end_with_parent
from ogpu.rpc.steps import FINALITY
from ogpu.rpc.transport import RPC
from shared.entry import progress

CHAIN_ID = 1337
SOURCES = 10
PROVIDERS = 20
TASKS_A_BLOCK = 200
BLOCK_SECONDS = 600  # between two blocks, so that the tables over time have rows
COINS = 10**25  # wei
UNLIMITED = 10**13  # gas
EVENTS = ("NEXUS", "TERMINAL", "VAULT")  # whose events are counted


@dataclass
class Chain:
    """A running node with the protocol, and how many events it has."""

    url: str
    contracts: dict[str, str]
    events: int = 0
    tasks: int = 0
    _rpc: RPC = field(repr=False, kw_only=True)
    _sender: str = field(kw_only=True)
    _crowd: str = field(default="", kw_only=True)

    async def open(self) -> None:
        """Put the crowd on the chain."""
        code = await asyncio.to_thread(_bytecode)
        places = [self.contracts[name] for name in ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT")]
        receipt = await self._sent(None, code + encode(["address"] * 4, places).hex(), COINS)
        self._crowd = receipt["contractAddress"]
        await self._sent(self._crowd, _call("open(uint256,uint256)", SOURCES, PROVIDERS))

    async def grow(self, events: int) -> None:
        """Make blocks until there are so many events at least."""
        told = self.events
        while self.events < events:
            await self._rpc.call("evm_increaseTime", BLOCK_SECONDS)
            await self._sent(self._crowd, _call("work(uint256,uint256)", self.tasks, TASKS_A_BLOCK))
            self.tasks += TASKS_A_BLOCK
            if self.events - told >= 100_000:
                told = self.events
                progress(f"{self.events:,} events")

    async def settle(self) -> int:
        """Mine as many blocks as it takes until all that happened is final; the newest one's number."""
        await self._rpc.call("anvil_mine", hex(FINALITY + 1))
        return int(await self._rpc.call("eth_blockNumber"), 16)

    def network_file(self) -> dict[str, Any]:
        """What a network file says of it; content and management services there are none."""
        nowhere = f"http://{HOST}:1"
        return {
            "name": "bench",
            "chain_id": CHAIN_ID,
            "rpc_urls": [self.url],
            "contracts": self.contracts,
            "content": {"upload_url": nowhere, "gateway_url": f"{nowhere}/ipfs"},
            "management_url": nowhere,
        }

    async def _sent(self, to: str | None, data: str, value: int = 0) -> dict[str, Any]:
        call = {"from": self._sender, "data": data, "value": hex(value), "gas": hex(UNLIMITED)}
        tx_hash = await self._rpc.call("eth_sendTransaction", {**call, **({"to": to} if to else {})})
        while not (receipt := await self._rpc.call("eth_getTransactionReceipt", tx_hash)):
            await asyncio.sleep(0.05)
        assert receipt["status"] == "0x1", f"the crowd's transaction failed: {receipt}"
        places = {self.contracts[name].lower() for name in EVENTS}
        self.events += sum(log["address"].lower() in places for log in receipt["logs"])
        return dict(receipt)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Chain]:
    """A node with the protocol and the crowd."""
    binary = await find_anvil(progress)
    with contextlib.closing(bound(0, "node")) as holder:
        port = holder.getsockname()[1]
    process = await asyncio.to_thread(_started, binary, port)
    rpc = RPC([url := f"http://{HOST}:{port}"], CHAIN_ID, timeout=600)
    try:
        await _answering(port)
        accounts = make_accounts(1)
        contracts = await deploy(rpc, CHAIN_ID, accounts)
        sender = accounts.client[0].address
        await rpc.call("anvil_impersonateAccount", sender)
        await rpc.call("anvil_setBalance", sender, hex(2 * COINS))
        (block,) = await rpc.batch([("eth_blockNumber", [])])
        query = {"fromBlock": "0x0", "toBlock": block, "address": [contracts[name] for name in EVENTS]}
        before = len(await rpc.call("eth_getLogs", query))
        chain = Chain(url, contracts, before, _rpc=rpc, _sender=sender)
        await chain.open()
        yield chain
    finally:
        await rpc.close()
        process.kill()
        process.wait()


def _started(binary: Path, port: int) -> subprocess.Popen[bytes]:
    """Without a history of states, of which this node would keep a whole one for each block."""
    options = ["--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID), "--accounts", "1", "--quiet"]
    options += ["--gas-limit", str(UNLIMITED), "--block-base-fee-per-gas", "0", "--no-request-size-limit"]
    options += ["--prune-history"]
    return subprocess.Popen([str(binary), *options], stdin=subprocess.DEVNULL, preexec_fn=end_with_parent())


async def _answering(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return
            await asyncio.sleep(0.02)


def _bytecode() -> str:
    script = Path(__file__).parent / "compile.mjs"
    return subprocess.run(["node", str(script)], check=True, capture_output=True, text=True).stdout.strip()


def _call(signature: str, *numbers: int) -> str:
    return "0x" + (keccak(signature.encode())[:4] + encode(["uint256"] * len(numbers), numbers)).hex()
