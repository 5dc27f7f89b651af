"""A network on which some of everything has happened, for the page to show."""

from __future__ import annotations

import struct
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.types import DeliveryMethod, TaskInfo, TaskInput
from tests.support.bidders import answer, bid, bidders
from tests.support.localnet import RunningNetwork, started, wait_until
from tests.support.market import PRICE, source_info
from tests.support.past import chain_time


def painted(width: int = 320, height: int = 160) -> bytes:
    """A picture, as PNG."""
    rows = b"".join(
        b"\0" + bytes(part for x in range(width) for part in (60 + y // 2, 80 + x // 3, 200 - (x ^ y) % 60))
        for y in range(height)
    )
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


PICTURE = painted()
TEXTS = ("A calm sea.", "What a day!", "It rains again.", "Never more.", "As good as it gets.", "So so.")


@dataclass
class World:
    """The network, what is on it by what became of it, and the place of its index."""

    network: RunningNetwork
    client: Client
    sources: list[str]
    providers: list[str]
    tasks: dict[str, str]

    @property
    def site(self) -> str:
        """Where the network itself serves its page."""
        return str(self.network.document["management_url"])

    def shown(self, *paths: str) -> None:
        """Wait until the index has the newest block, and what these views link to."""
        head = int(self.network.rpc("eth_blockNumber"), 16)

        def ready(path: str) -> bool:
            with urllib.request.urlopen(self.site + path) as answer:
                html = answer.read().decode()
            return f'href="/blocks/{head}"' in html and "being fetched" not in html

        wait_until(lambda: all(map(ready, paths)), 60, "the index")

    def publish(
        self, source: str, function: str = "analyze_sentiment", seconds: int = 3600, **data: object
    ) -> str:
        """A task, by the client."""
        given = {"text": TEXTS[len(self.tasks) % len(TEXTS)], **data}
        due = chain_time(self.network) + seconds
        return self.client.publish_task(TaskInfo(source, TaskInput(function, given), due, PRICE))

    def answered(self, task: str, provider: str, result: object, price: int = PRICE) -> None:
        """A provider's answer, stored as content."""
        content = self.client.content
        link = content.put_bytes(result) if isinstance(result, bytes) else content.put_json(result)
        answer(self.network, task, provider, link, price=price)


@contextmanager
def lived_in(folder: Path) -> Iterator[World]:
    """A network of its own with sources, providers, and tasks of every fate."""
    with started(folder, "--no-provider") as network:
        chosen = load_network_file(network.file)
        with Client(chosen, private_key=network.key(), journal=":memory:") as client:
            yield _filled(network, client)


def _filled(network: RunningNetwork, client: Client) -> World:
    logo = client.content.put_bytes(PICTURE, "logo.png", "image/png")
    first = client.publish_source(source_info(name="Sentiment", logoUrl=logo))
    second = client.publish_source(
        source_info(
            name="Whisper", description="Writes down speech.", deliveryMethod=DeliveryMethod.FIRST_RESPONSE
        )
    )
    unused = client.publish_source(source_info(name="Unused", description="Nobody calls it."))
    client.source(unused).inactivate()
    providers = bidders(network, first, 3)
    for provider in providers[:2]:
        network.transact("Nexus", "register", second, provider, 1, sender=provider)
    network.transact("Terminal", "setBaseData", '{"gpu": "A100", "count": 2}', sender=providers[0])
    client.terminal.set_agent(network.address("agent"), True, private_key=network.key())
    world = World(network, client, [first, second, unused], providers, {})
    _live(world)
    return world


def _live(world: World) -> None:
    network, client, tasks = world.network, world.client, world.tasks
    first, second, _ = world.sources
    one, two, three = world.providers
    tasks["expired"] = world.publish(first, seconds=4)
    for number in range(9):
        task = tasks[f"quick {number}"] = world.publish(second, "transcribe", number=number)
        bid(network, task, one if number % 3 else two)
        world.answered(
            task, one if number % 3 else two, {"text": TEXTS[number % 6], "words": [3, number], "n": number}
        )
    task = tasks["finalized"] = world.publish(first)
    bid(network, task, one, price=PRICE * 8 // 10)
    bid(network, task, two, three, price=PRICE * 9 // 10)
    world.answered(task, two, {"label": "positive", "score": 0.98, "by": "two"}, PRICE * 9 // 10)
    world.answered(task, one, {"label": "positive", "score": 0.97, "by": "one"}, PRICE * 8 // 10)
    client.confirm_response(client.task(task).responses()[-1].address)
    task = tasks["picture"] = world.publish(first, "render", style="calm")
    bid(network, task, three)
    world.answered(task, three, PICTURE)
    task = tasks["text"] = world.publish(first, "translate")
    bid(network, task, three)
    world.answered(task, three, b"Ein ruhiges Meer.\n\tUnd so weiter.\n")
    tasks["attempted"] = world.publish(first)
    bid(network, tasks["attempted"], one)
    tasks["canceled"] = world.publish(first)
    client.cancel_task(tasks["canceled"])
    tasks["new"] = world.publish(first)
    due = client.task(tasks["expired"]).snapshot().expiry_time

    def late() -> bool:
        network.rpc("evm_mine")
        return chain_time(network) > due

    wait_until(late, what="the expiry")
    client.vault.force_release_payment(tasks["expired"], private_key=network.key())
