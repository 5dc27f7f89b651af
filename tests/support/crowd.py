"""Hundreds of sources and tasks, quickly: the same call again and again, many in a block."""

from __future__ import annotations

import time
from typing import Any

from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE
from tests.support.plain import ask

GAS = 3_000_000  # of a call; to ask the node would take longer than mining


def sources(network: RunningNetwork, count: int) -> None:
    """That many sources of the client's."""
    terms = (network.address(), "ipfs://metadata", 1, 1, 0, 86400, False, "", 0, 0)
    _again(network, count, "Nexus", "publishSource", terms)


def tasks(network: RunningNetwork, source: str, count: int) -> None:
    """That many tasks of a source, by the client."""
    terms = (source, "ipfs://config", int(time.time()) + 3600, PRICE)
    _again(network, count, "Controller", "publishTask", terms)


def _again(network: RunningNetwork, count: int, contract: str, function: str, *arguments: Any) -> None:
    sender = network.address()
    call = {
        "from": sender,
        "to": network.document["contracts"][contract.upper()],
        "data": network.calldata(contract, function, *arguments),
        "gas": hex(GAS),
        "gasPrice": hex(10**12),  # full blocks raise the base fee
    }
    first = int(network.rpc("eth_getTransactionCount", sender, "latest"), 16)
    ask(network.url, [("anvil_impersonateAccount", [sender]), ("evm_setAutomine", [False])])
    try:
        nonces = range(first, first + count)
        ask(network.url, [("eth_sendTransaction", [{**call, "nonce": hex(nonce)}]) for nonce in nonces])

        def mined() -> bool:
            network.rpc("evm_mine")
            return int(network.rpc("eth_getTransactionCount", sender, "latest"), 16) == first + count

        wait_until(mined, 30, f"mining {count} calls")
    finally:
        ask(network.url, [("evm_setAutomine", [True]), ("anvil_stopImpersonatingAccount", [sender])])
