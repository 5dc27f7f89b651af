"""A program on another host: a process that stands still where a test wants it to, and says so before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ogpu import Client
from ogpu.errors import OGPUError
from ogpu.networks import Network
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from tests.support.crash import Talk
from tests.support.market import task_info


@dataclass(frozen=True)
class Host:
    """A program and where it is: its way to the chain, its journal, and whose key it has."""

    network: Network
    private_key: str
    source: str
    journal: str


def publishes_after_a_stop(
    talk: Talk, host: Host, keys: Sequence[str], boundary: Boundary, nth: int = 1
) -> list[str]:
    """Publish tasks by these keys; at the nth time at a boundary it says so and waits for a word."""
    visits: Counter[Boundary] = Counter()

    def at(where: Boundary) -> None:
        visits[where] += 1
        if where is boundary and visits[where] == nth:
            talk.say("there")
            talk.hear()

    with Client(host.network, private_key=host.private_key, journal=Journal(host.journal, at=at)) as client:
        infos = [task_info(host.source, key=key) for key in keys]
        return list(client.publish_tasks(infos, idempotency_keys=keys))


def publishes_what_it_can(talk: Talk, host: Host, threads: Sequence[Sequence[str]]) -> dict[str, str]:
    """Publish by keys in threads, by each key once; the address of its task or the error's name by key."""
    with Client(host.network, private_key=host.private_key, journal=host.journal) as client:
        talk.say("ready")
        talk.hear()

        def published(keys: Sequence[str]) -> dict[str, str]:
            told = {}
            for key in keys:
                try:
                    told[key] = client.publish_task(task_info(host.source, key=key), idempotency_key=key)
                except OGPUError as error:
                    told[key] = type(error).__name__
            return told

        with ThreadPoolExecutor(len(threads)) as pool:
            return {key: result for found in pool.map(published, threads) for key, result in found.items()}
