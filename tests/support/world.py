"""A network with everybody and everything on it: pairs, sources, tasks and responses in several states."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.tx.state import Policy
from ogpu.types import Environment, ResponseParams
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info

COIN = 10**18


@dataclass(frozen=True)
class World:
    """A network with a paired provider, a source of it, and tasks in several states."""

    network: RunningNetwork
    client: Client
    people: dict[str, str]
    keys: dict[str, str] = field(repr=False)
    source: str
    closed: str  # a source that is inactive
    new: str  # tasks, by what has happened to them
    attempted: str
    answered: str
    final: str
    canceled: str
    response: str
    paid: str

    def by(self, who: str) -> dict[str, Any]:
        return {"private_key": self.keys[who]}


def _built(network: RunningNetwork, client: Client, people: dict[str, str], keys: dict[str, str]) -> World:
    """The world; everything in it is done by its own people."""
    provider: dict[str, Any] = {"private_key": keys["provider"]}
    master: dict[str, Any] = {"private_key": keys["master"]}
    if client.terminal.master_of(people["provider"]) is None:
        client.terminal.announce_master(people["master"], **provider)
        client.terminal.announce_provider(people["provider"], 10 * COIN, **master)
    source, closed = (client.publish_source(source_info(maxExpiryDuration=7200)) for _ in range(2))
    client.nexus.inactivate_source(closed)
    client.nexus.register(source, people["provider"], Environment.CPU, **provider)
    tasks = [client.publish_task(task_info(source, n=number)) for number in range(5)]
    responses = []
    for task in tasks[1:4]:
        client.nexus.attempt(task, people["provider"], PRICE, **provider)
    for task in tasks[2:4]:
        params = ResponseParams(task, people["provider"], f"data of {task}", PRICE // 2)
        responses.append(client.nexus.submit_response(params, **provider))
    client.confirm_response(responses[1])
    client.cancel_task(tasks[4])
    return World(network, client, people, keys, source, closed, *tasks, *responses)


@contextlib.contextmanager
def peopled(network: RunningNetwork, journal: Path, policy: Policy | None = None) -> Iterator[World]:
    """Build such a world on a network."""
    names = {"client": 0, "stranger": 1}
    keys = {name: network.key("client", number) for name, number in names.items()}
    people = {name: network.address("client", number) for name, number in names.items()}
    for role in ("provider", "master", "agent"):
        keys[role], people[role] = network.key(role), network.address(role)
    known = load_network_file(network.file)
    with Client(known, private_key=keys["client"], journal=journal, policy=policy) as client:
        yield _built(network, client, people, keys)
