"""A program that maps a function over items, to be killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator

from ogpu import Client
from tests.support.crash import Talk
from tests.support.market import PRICE

ITEMS = 12
KEY = "job-7"


def numbers(count: int = ITEMS) -> Iterator[dict[str, int]]:
    """The items."""
    return ({"n": number} for number in range(count))


def mapped_in_a_process(talk: Talk, source: str) -> str:
    """Say each result as it comes."""
    with Client() as client:
        for result in client.map(source, "echo", numbers(), payment=PRICE, in_flight=4, idempotency_key=KEY):
            talk.say(result)
    return "done"
