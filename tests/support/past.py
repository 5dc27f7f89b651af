"""A chain on which all of the protocol has happened, each part by a call of a client, and who did it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from eth_account import Account

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.types import DeliveryMethod, Environment, ResponseParams, SourceParams, TaskParams
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info

COIN = 10**18
STAKE = 20 * COIN
DEFAULT_AGENT = "0x306Dc3fF30254675B209D916475094401aCC4a1E"


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    address: str
    key: str


def person(network: RunningNetwork, coins: int = 1000) -> Person:
    """Somebody new, with coin."""
    key = "0x" + secrets.token_hex(32)
    address = Account.from_key(key).address
    network.rpc("anvil_setBalance", address, hex(coins * COIN))
    return Person(address, key)


def settled(network: RunningNetwork, role: str, position: int = 0) -> Person:
    """One of the network's own accounts."""
    return Person(network.address(role, position), network.key(role, position))


def pass_time(network: RunningNetwork, seconds: int) -> None:
    """Let the chain's clock go on, and mine a block that shows it."""
    network.rpc("evm_increaseTime", seconds)
    network.rpc("evm_mine")


def chain_time(network: RunningNetwork) -> int:
    """The time of the latest block."""
    return int(network.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def pair(client: Client, master: Person, provider: Person, stake: int = STAKE) -> None:
    """Both halves of a pairing."""
    client.master(master.address).announce_provider(provider.address, stake, private_key=master.key)
    client.provider(provider.address).announce_master(master.address, private_key=provider.key)


@dataclass
class Past:
    """What there is: everybody by a name, and the items in the order in which they were made."""

    network: RunningNetwork
    client: Client
    first_block: int
    people: dict[str, Person]
    sources: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)

    def key(self, name: str) -> str:
        return self.people[name].key

    def address(self, name: str) -> str:
        return self.people[name].address

    def terms(self, name: str = "client") -> SourceParams:
        """A source of a client, whose metadata nobody has uploaded."""
        environments = Environment.CPU | Environment.AMD
        return SourceParams(self.address(name), "ipfs://metadata", environments, 10**15, 0, 86400)

    def publish(self, source: str, payment: int = PRICE) -> str:
        """A task by the client."""
        terms = TaskParams(source, f"ipfs://config {len(self.tasks)}", int(time.time()) + 3600, payment)
        self.tasks.append(self.client.controller.publish_task(terms, private_key=self.key("client")))
        return self.tasks[-1]

    def attempt(self, task: str, name: str, price: int = PRICE) -> None:
        self.client.provider(self.address(name)).attempt(task, price, private_key=self.key(name))

    def answer(self, task: str, name: str, price: int = PRICE) -> str:
        data = f"ipfs://answer {len(self.responses)} ünïcode"
        params = ResponseParams(task, self.address(name), data, price)
        self.responses.append(self.client.nexus.submit_response(params, private_key=self.key(name)))
        return self.responses[-1]


@contextlib.contextmanager
def lived(network: RunningNetwork) -> Iterator[Past]:
    """The network with a past; wound back at the end."""
    snapshot = network.rpc("evm_snapshot")
    own = {role: settled(network, role) for role in ("client", "provider", "master", "agent")}
    new = ("second", "third", "fourth", "boss2", "boss3", "boss4", "helper", "saver", "stranger")
    first_block = int(network.rpc("eth_blockNumber"), 16) + 1
    people = {**own, "other": settled(network, "client", 1), **{name: person(network) for name in new}}
    try:
        with Client(load_network_file(network.file), journal=":memory:") as client:
            world = Past(network, client, first_block, people)
            for chapter in (_people, _sources, _registrations, _tasks, _money, _sanctions, _later):
                chapter(world)
            yield world
    finally:
        network.rpc("anvil_dropAllTransactions")
        network.rpc("evm_revert", snapshot)


def _people(world: Past) -> None:
    client, key = world.client, world.key
    for boss, name in (("boss2", "second"), ("boss3", "third"), ("boss4", "fourth")):
        pair(client, world.people[boss], world.people[name])
    client.terminal.set_agent(world.address("helper"), True, private_key=key("client"))
    client.terminal.set_agent(world.address("stranger"), True, private_key=key("client"))
    client.terminal.set_agent(world.address("stranger"), False, private_key=key("client"))
    client.terminal.set_base_data('{"gpu": "ünïcode"}', private_key=key("provider"))
    client.terminal.set_live_data("{}", private_key=key("provider"))
    client.master(world.address("boss2")).set_default_agent_disabled(True, private_key=key("boss2"))


def _sources(world: Past) -> None:
    client, key = world.client, world.key
    world.sources.append(client.publish_source(source_info(), key("client")))
    world.sources.append(client.nexus.publish_source(world.terms(), private_key=key("helper")))
    first = source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE)
    world.sources.append(client.publish_source(first, key("other")))
    changed = source_info(name="Renamed", minPayment=2 * 10**15)
    client.source(world.sources[0]).update(changed, private_key=key("client"))
    client.source(world.sources[1]).inactivate(private_key=key("helper"))
    client.source(world.sources[1]).transfer_ownership(world.address("other"), private_key=key("client"))
    client.source(world.sources[2]).renounce_ownership(private_key=key("other"))


def _registrations(world: Past) -> None:
    client, key = world.client, world.key
    source, first = client.source(world.sources[0]), world.sources[2]
    for name in ("provider", "second", "third", "fourth"):
        hardware = Environment.NVIDIA if name == "third" else Environment.CPU
        client.provider(world.address(name)).register(source.address, hardware, private_key=key(name))
    client.nexus.unregister(source.address, world.address("second"), private_key=key("boss2"))
    client.nexus.register(first, world.address("provider"), Environment.CPU, private_key=key("agent"))
    client.master(world.address("boss3")).remove_container(
        world.address("third"), source.address, private_key=key("boss3")
    )


def _tasks(world: Past) -> None:
    client, key = world.client, world.key
    source, first = world.sources[0], world.sources[2]
    bids = world.publish(source)
    for name in ("provider", "third", "fourth"):
        world.attempt(bids, name)
    world.answer(bids, "fourth", PRICE // 2)  # the third never answers
    client.response(world.answer(bids, "provider", PRICE // 4)).confirm(private_key=key("client"))

    client.task(world.publish(source)).cancel(private_key=key("helper"))

    world.attempt(quick := world.publish(first), "provider")
    world.answer(quick, "provider", PRICE)

    world.tasks.append(client.publish_task(task_info(source), key("client")))
    client.task(world.tasks[-1]).transfer_ownership(world.address("other"), private_key=key("client"))

    world.attempt(world.publish(source), "provider")  # both are left until they expire
    world.publish(source)

    client.terminal.remove_provider(world.address("fourth"), private_key=key("boss4"))


def _money(world: Past) -> None:
    vault, key = world.client.vault, world.key("saver")
    vault.deposit(7 * COIN + 7, private_key=key)
    vault.deposit(COIN, world.address("saver"), private_key=world.key("other"))
    vault.withdraw(3, private_key=key)
    vault.lock(5 * COIN, private_key=key)
    vault.unbond(2 * COIN, private_key=key)
    vault.cancel_unbonding(private_key=key)
    vault.unbond(COIN, private_key=key)


def _sanctions(world: Past) -> None:
    """What a judge does, whose calls the library does not have."""
    judge = world.network.admin()
    for function, amount in (("sanction", 2 * COIN), ("waive", COIN)):
        world.network.transact("Vault", function, world.address("third"), amount, sender=judge)


def _later(world: Past) -> None:
    """A week on: what has matured, and what has expired."""
    client, key = world.client, world.key
    pass_time(world.network, client.vault.unbonding_period())
    client.vault.claim(private_key=world.key("saver"))
    client.vault.unbond(COIN, private_key=world.key("saver"))
    abandoned, unseen = world.tasks[-2:]
    client.vault.force_release_payment(abandoned, private_key=key("client"))
    client.provider(world.address("provider")).attempt(unseen, PRICE, private_key=key("provider"))
