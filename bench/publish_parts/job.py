"""One publisher is one process: what it is told, what it tells, and running it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared import program
from shared.network import MIN_PAYMENT, BenchNetwork

EXPIRY = 12 * 3600  # seconds from now
GRACE = 30.0  # seconds over a publisher's own deadline


@dataclass(frozen=True)
class Job:
    """What a publisher is told; it warms up with one task that is not counted."""

    count: int
    key: str = field(repr=False)
    threads: int = 1  # of a peer
    deadline: float = 600.0  # seconds, after which what is not finished is left
    journal: str = ":memory:"


@dataclass(frozen=True)
class Outcome:
    """What a publisher tells: seconds, bytes, and what its calls returned or raised."""

    wall: float
    cpu: float
    requests: int
    rss_before: int
    rss_peak: int
    first_block: int  # the latest one before the counted tasks
    addresses: list[str] = field(repr=False)
    errors: dict[str, int]
    said: str  # the first error's text
    unfinished: int


def run(command: Sequence[str], network: BenchNetwork, job: Job, folder: Path) -> dict[str, Any]:
    """Run a publisher's program to its end; the document that it leaves."""
    document = {
        **asdict(job),
        "file": str(network.file),
        "url": network.url,
        "upload_url": network.upload_url,
        "contracts": network.document["contracts"],
        "source": network.source,
        "payment": MIN_PAYMENT,
        "expiry": int(time.time()) + EXPIRY,
    }
    return program.run(command, document, folder, job.deadline + GRACE)
