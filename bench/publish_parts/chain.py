"""What the chain says about a run: whose transactions its blocks hold, and what they published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ogpu.rpc.codec import decode_logs, interface
from shared.network import BenchNetwork, rpc

SETTLE_TIMEOUT = 60.0


@dataclass(frozen=True)
class Block:
    """One block: how much of it are transactions of the key that published."""

    number: int
    transactions: int
    gas: int
    limit: int
    base_fee: int  # wei per gas

    @property
    def fullness(self) -> float:
        """Gas used by them, of the block's gas limit."""
        return self.gas / self.limit


@dataclass(frozen=True)
class Observed:
    """A run as the chain has it; `configs` are the content links of its tasks, doubles included."""

    blocks: list[Block]
    tasks: list[str] = field(repr=False)
    configs: list[str] = field(repr=False)
    reverted: int
    others: int  # of the key, and no publishTask: what a peer sends to mend its nonces

    @property
    def doubles(self) -> int:
        """Tasks that were published again: the content of each call is different."""
        return len(self.configs) - len(set(self.configs))

    @property
    def gas_per_task(self) -> float:
        """On average."""
        return sum(block.gas for block in self.blocks) / max(1, len(self.tasks))

    @property
    def inner(self) -> list[Block]:
        """The blocks of ours from the second on, without the last one, which holds the rest."""
        return self.blocks[1:-1]


def head(network: BenchNetwork) -> int:
    """The latest block's number."""
    return int(rpc(network.url, "eth_blockNumber"), 16)


def settle(network: BenchNetwork, address: str, block_time: float) -> None:
    """Wait until nothing of the account waits to be mined; what is behind a nonce gap never is."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while time.monotonic() < deadline:
        pending, mined = (
            rpc(network.url, "eth_getTransactionCount", address, block) for block in ("pending", "latest")
        )
        if pending == mined:
            break
        time.sleep(block_time / 4)


def observe(network: BenchNetwork, address: str, first: int, last: int) -> Observed:
    """What an account did in the blocks from `first` to `last`, both included."""
    blocks: list[Block] = []
    tasks: list[str] = []
    configs: list[str] = []
    reverted = others = 0
    controller = network.contract("CONTROLLER").lower()
    for number in range(first, last + 1):
        block = rpc(network.url, "eth_getBlockByNumber", hex(number), True)
        own = {t["hash"]: t for t in block["transactions"] if t["from"].lower() == address.lower()}
        receipts = rpc(network.url, "eth_getBlockReceipts", hex(number)) if own else []
        gas = 0
        for receipt in receipts:
            if (transaction := own.get(receipt["transactionHash"])) is None:
                continue
            gas += int(receipt["gasUsed"], 16)
            if (transaction["to"] or "").lower() != controller:
                others += 1
            elif receipt["status"] != "0x1":
                reverted += 1
            else:
                tasks += _published(network, receipt["logs"])
                configs.append(_config(transaction["input"]))
        limit, base_fee = int(block["gasLimit"], 16), int(block["baseFeePerGas"], 16)
        blocks.append(Block(number, len(own), gas, limit, base_fee))
    return Observed(_trimmed(blocks), tasks, configs, reverted, others)


def _published(network: BenchNetwork, logs: Sequence[dict[str, Any]]) -> list[str]:
    """The addresses of the tasks that these logs tell of."""
    events = decode_logs("Nexus", logs, network.contract("NEXUS"))
    return [arguments["task"] for name, arguments in events if name == "TaskPublished"]


def _config(calldata: str) -> str:
    from eth_abi.abi import decode

    inputs = interface("Controller").functions["publishTask"].inputs
    kinds = ",".join(component["type"] for component in inputs[0]["components"])
    ((_, config, _, _),) = decode([f"({kinds})"], bytes.fromhex(calldata[10:]))
    return str(config)


def _trimmed(blocks: list[Block]) -> list[Block]:
    """From the first block that holds something of ours to the last."""
    held = [index for index, block in enumerate(blocks) if block.transactions]
    return blocks[held[0] : held[-1] + 1] if held else []
