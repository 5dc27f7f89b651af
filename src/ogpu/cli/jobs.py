"""What a task is to do, and how its result is taken, as options that commands share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.amounts import duration_of
from ogpu.cli.terms import Given, task_file, task_terms

if TYPE_CHECKING:
    from ogpu.cli.schemas import TaskFile

Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="DURATION", help="How long to wait: 5m. Default: until the task expires."
    ),
]
Bidding = Annotated[
    str, typer.Option("--bidding", metavar="DURATION", help="How long cheapest waits for more bids.")
]
BIDDING = "30s"


class Accept(StrEnum):
    """Which response is taken where its client must choose."""

    first = "first"
    cheapest = "cheapest"


@dataclass(frozen=True)
class Job:
    """What is asked of whom, for how much."""

    source: Annotated[
        str | None, typer.Option("--source", metavar="ADDRESS", help="The service that is to do it.")
    ] = None
    function: Annotated[
        str | None, typer.Option("--function", metavar="NAME", help="The function of the service.")
    ] = None
    payment: Annotated[
        str | None, typer.Option("--payment", metavar="AMOUNT", help="What it pays at most: 0.01ogpu.")
    ] = None
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="DURATION",
            help="How long it may take: 15m. Default: 1h, or what the source allows.",
        ),
    ] = None

    def given(self, data: str | None = None) -> Given:
        """What is said of it."""
        return task_terms(self.source, self.function, data, self.payment, self.expires)


@dataclass(frozen=True)
class OneJob(Job):
    """One task, which a file may tell too."""

    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON", help="Its data: a JSON object, or @FILE.")
    ] = None
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The task as YAML or JSON; - is standard input."),
    ] = None

    def terms(self) -> TaskFile:
        """The task, checked."""
        return task_file(self.file, self.given(self.data))


@dataclass(frozen=True)
class Taking:
    """How long a result is waited for, which one is taken, and how often it is tried."""

    timeout: Timeout = None
    accept: Annotated[Accept, typer.Option("--accept", help="Which response is taken and paid.")] = (
        Accept.first
    )
    bidding: Bidding = BIDDING
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts",
            min=1,
            max=100,
            metavar="N",
            help="Publishes, at most; another one once the one before can cost no more.",
        ),
    ] = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant before anybody is asked anything."""
        _ = self.seconds, self.bid_seconds

    @property
    def seconds(self) -> float:
        """How long to wait."""
        return seconds_of(self.timeout)

    @property
    def bid_seconds(self) -> int:
        """How long cheapest waits for more bids."""
        return duration_of(self.bidding, "--bidding")


def seconds_of(timeout: str | None) -> float:
    """How long to wait, for ever when nothing is said."""
    return math.inf if timeout is None else duration_of(timeout, "--timeout")
