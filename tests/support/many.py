"""Programs with many threads each that publish by one account's key at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ogpu import Client
from ogpu.errors import OGPUError
from ogpu.networks import Network
from ogpu.types import TaskInfo
from tests.support.crash import Talk
from tests.support.market import task_info

TRIES = 10  # a read is repeated three times by the client, so now and then one fails all the same


@dataclass(frozen=True)
class Share:
    """What one program publishes: each thread the tasks of its keys, so many `together` by one call."""

    network: Network
    private_key: str
    source: str
    journal: str
    threads: tuple[tuple[str, ...], ...]
    together: int = 1
    timeout: float = 30.0  # of a request, in seconds

    def task(self, key: str) -> TaskInfo:
        """The task of a key; the chain shows whose it is."""
        return task_info(self.source, key=key)


def dealt(keys: Sequence[str], programs: int, threads: int) -> list[tuple[tuple[str, ...], ...]]:
    """Keys for each thread of each program; the same key for two of them when it is there twice."""
    step = programs * threads
    return [
        tuple(tuple(keys[program + thread * programs :: step]) for thread in range(threads))
        for program in range(programs)
    ]


def publishes(talk: Talk, share: Share) -> list[tuple[str, str]]:
    """Publish a program's share: what a child runs. Each call's key and the address that it gave."""
    with Client(
        share.network, private_key=share.private_key, journal=share.journal, timeout=share.timeout
    ) as client:
        talk.say("ready")
        talk.hear()

        def publish(keys: Sequence[str]) -> list[tuple[str, str]]:
            told: list[tuple[str, str]] = []
            for start in range(0, len(keys), share.together):
                told += _persistently(client, share, keys[start : start + share.together])
            return told

        with ThreadPoolExecutor(len(share.threads)) as pool:
            return [each for found in pool.map(publish, share.threads) for each in found]


def _persistently(client: Client, share: Share, keys: Sequence[str]) -> list[tuple[str, str]]:
    """Publish by these keys, and again by the same ones while an error says that it may help."""
    for _ in range(TRIES):
        try:
            return list(zip(keys, _published(client, share, keys), strict=True))
        except OGPUError as error:
            if not error.retryable:
                raise
            last = error
    raise last


def _published(client: Client, share: Share, keys: Sequence[str]) -> Sequence[str]:
    infos = [share.task(key) for key in keys]
    if share.together == 1:
        return [client.publish_task(infos[0], idempotency_key=keys[0])]
    results = client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
    errors = [result for result in results if isinstance(result, OGPUError)]
    for error in sorted(errors, key=lambda error: error.retryable):
        raise error
    return results
