"""A local network for a measurement: started, funded, and its processes' CPU time read."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from eth_account import Account

from ogpu import AsyncClient
from ogpu.client import ImageEnvironments, SourceInfo
from ogpu.localnet.processes import end_with_parent
from ogpu.networks import load_network_file

HAS_JOURNAL = "journal" in inspect.signature(AsyncClient).parameters
START_TIMEOUT = 120.0  # the first start may install anvil
STOP_TIMEOUT = 30.0
MIN_PAYMENT = 10**15  # wei; 10,000 tasks cost 10 OGPU
DEPOSIT = 30 * 10**18  # wei of Vault balance for each key; what is published twice is paid twice
COIN = 10**6 * 10**18  # wei for gas; 47 full blocks in a row raise the base fee 250 times (EIP-1559)
SOURCE_EXPIRY = 24 * 3600
NAME = "testnet"  # the name and chain id that the published packages know as well


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU, user and system, that the network's processes have used."""

    node: float
    services: float

    def since(self, before: Cpu) -> Cpu:
        """What was used after `before`."""
        return Cpu(self.node - before.node, self.services - before.services)


@dataclass(frozen=True)
class BenchNetwork:
    """A running `ogpu up` with a source to publish tasks for."""

    file: Path
    process: subprocess.Popen[bytes]
    document: dict[str, Any]
    source: str = ""

    @property
    def url(self) -> str:
        """The node's."""
        return str(self.document["rpc_urls"][0])

    @property
    def upload_url(self) -> str:
        """The content service's."""
        return str(self.document["content"]["upload_url"])

    def contract(self, name: str) -> str:
        """A contract's address."""
        return str(self.document["contracts"][name])

    def cpu(self) -> Cpu:
        """The CPU time until now: of anvil, and of `ogpu up` itself (content service, event watcher)."""
        own = psutil.Process(self.process.pid)
        nodes = [child for child in own.children() if "anvil" in child.name()]
        return Cpu(sum(_cpu_seconds(node) for node in nodes), _cpu_seconds(own))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def started(folder: Path, block_time: float | None) -> Iterator[BenchNetwork]:
    """A network without providers, with a source; one block a transaction when `block_time` is None."""
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "network.json", folder / "up.log"
    arguments = ["up", "--no-provider", "--as", NAME, "--network-file", str(file)]
    if block_time is not None:
        arguments += ["--block-time", f"{block_time:g}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ogpu", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent(),
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The network did not start: {log.read_text(errors='replace')[-600:]}")
            time.sleep(0.02)
        network = BenchNetwork(file, process, json.loads(file.read_text()))
        yield replace(network, source=asyncio.run(_publish_source(network)))
    finally:
        if process.poll() is None:
            process.send_signal(2)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _publish_source(network: BenchNetwork) -> str:
    image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
    info = SourceInfo("Benchmark", "Takes tasks.", "", image, MIN_PAYMENT, 0, SOURCE_EXPIRY)
    async with owner(network) as client:
        return await client.publish_source(info)


def new_keys(network: BenchNetwork, count: int) -> list[str]:
    """Keys that have sent nothing yet, with coin and Vault balance: no run meets what another one left."""

    async def fund(addresses: list[str]) -> None:
        async with owner(network) as client:
            await asyncio.gather(*(client.vault.deposit(DEPOSIT, address) for address in addresses))

    keys = ["0x" + secrets.token_hex(32) for _ in range(count)]
    addresses = [str(Account.from_key(key).address) for key in keys]
    for address in addresses:
        rpc(network.url, "anvil_setBalance", address, hex(COIN))
    asyncio.run(fund(addresses))
    return keys


def owner(network: BenchNetwork) -> AsyncClient:
    """A client with the key that owns the source and has a Vault balance."""
    key = network.document["accounts"]["client"][0]["private_key"]
    options: Any = {"journal": ":memory:"} if HAS_JOURNAL else {}
    return AsyncClient(load_network_file(network.file), private_key=key, **options)


def rpc(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call, by the standard library."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.loads(response.read())
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]
