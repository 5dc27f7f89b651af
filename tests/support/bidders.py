"""Providers that bid and answer as a test says, for the node signs for them."""

from __future__ import annotations

from web3 import Web3

from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE

COIN = 10**18
STAKE = 10 * COIN


def bidders(network: RunningNetwork, source: str, count: int, *, stake: int = STAKE) -> list[str]:
    """That many new providers, paired, staked and registered to a source."""
    made: list[str] = []
    for number in range(count):
        provider, master = (
            Web3.to_checksum_address(f"0x{0xB1D0000 + 2 * number + which:040x}") for which in range(2)
        )
        for account in (provider, master):
            network.rpc("anvil_setBalance", account, hex(100 * COIN))
        network.transact("Terminal", "announceProvider", provider, stake, sender=master, value=stake)
        network.transact("Terminal", "announceMaster", master, sender=provider)
        network.transact("Nexus", "register", source, provider, 1, sender=provider)
        made.append(provider)
    return made


def bid(network: RunningNetwork, task: str, *providers: str, price: int = PRICE) -> None:
    """These providers take a task on."""
    for provider in providers:
        network.transact("Nexus", "attempt", task, provider, price, sender=provider)


def answer(network: RunningNetwork, task: str, provider: str, data: str, *, price: int = PRICE) -> None:
    """A provider answers, a second after the last block."""
    last = int(network.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    network.rpc("evm_setNextBlockTimestamp", last + 1)
    network.transact("Nexus", "submitResponse", (task, provider, data, price), sender=provider)
