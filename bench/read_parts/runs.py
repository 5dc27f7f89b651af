"""The runs: each reader on each link, and what was found beside what there is."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from read_parts.cases import Case, Row
from shared.environments import python_of
from shared.network import BenchNetwork
from shared.program import CannotRun, run

OURS = "ours"
LOOPBACK = "loopback"
GRACE = 60.0  # seconds over a reader's own deadlines


@dataclass(frozen=True)
class Read:
    """One reader's rounds of one case on one link; times in seconds.

    One that was stopped had not read all at the deadline. `expected` is how many requests all of it takes, as
    far as another run tells; `scale` is then how many times more of everything.
    """

    reader: str
    link: str
    case: Case
    seconds: Sequence[float]
    cpu: Sequence[float]
    requests: Sequence[int]
    rows: Sequence[Row] = field(repr=False)
    stopped: bool = False
    error: str = ""
    expected: int | None = None

    @property
    def measured(self) -> bool:
        """Whether there is a figure."""
        return bool(self.seconds) and not self.error

    @property
    def scale(self) -> float:
        """What a stopped read's figures are multiplied by; when nothing tells, by 1, which is too little."""
        if not self.stopped or self.expected is None:
            return 1.0
        return max(1.0, self.expected / max(1, self.requests[0]))

    @property
    def wall(self) -> float:
        """The median of its rounds, or what it would have been."""
        return statistics.median(self.seconds) * self.scale

    @property
    def cpu_seconds(self) -> float:
        """Likewise."""
        return statistics.median(self.cpu) * self.scale

    @property
    def http_requests(self) -> int:
        """Likewise, in one read."""
        return round(statistics.median(self.requests) * self.scale)

    @property
    def twice(self) -> int:
        """Items that came again."""
        return len(self.rows) - len(set(self.rows))

    @property
    def missing(self) -> int:
        """Items that there are, and that did not come."""
        return len(set(self.case.rows) - set(self.rows))

    @property
    def strange(self) -> int:
        """Items that there are not, such as one with another text."""
        return len(set(self.rows) - set(self.case.rows))

    @property
    def right(self) -> bool:
        """Whether all came, once, in order."""
        return list(self.rows) == list(self.case.rows)


@dataclass(frozen=True)
class Link:
    """How the node is reached, and how long a peer may take for a case, in seconds."""

    name: str
    url: str
    deadline: float


@dataclass(frozen=True)
class Run:
    """One reader's reads on one link, its requests in all, and those of a new client for the largest read."""

    reads: list[Read]
    requests: int
    first_requests: int


def ours(network: BenchNetwork, link: Link, cases: Sequence[Case], rounds: int) -> Run:
    """This library."""
    return _run(OURS, (sys.executable, "-m", "read_parts.ours"), network, link, cases, rounds)


def peer(version: str, network: BenchNetwork, link: Link, cases: Sequence[Case], rounds: int) -> Run:
    """A published package; when it cannot run, each of its reads says why."""
    name = f"ogpu {version}"
    try:
        command = (str(python_of(version)), "-m", "read_parts.peer")
        return _run(name, command, network, link, cases, rounds)
    except CannotRun as error:
        return Run([Read(name, link.name, case, [], [], [], [], error=str(error)) for case in cases], 0, 0)


def _run(
    name: str, command: Sequence[str], network: BenchNetwork, link: Link, cases: Sequence[Case], rounds: int
) -> Run:
    smallest, largest = cases[0], max(cases, key=lambda case: (case.kind == "responses", case.size))
    job = {
        "file": str(network.file),
        "url": link.url,
        "contracts": network.document["contracts"],
        "warm": smallest.job(1, link.deadline),
        "first": largest.job(1, link.deadline),
        "cases": [case.job(rounds, link.deadline) for case in cases],
    }
    with tempfile.TemporaryDirectory(dir=network.file.parent) as folder:
        found = run(command, job, Path(folder), 2 * link.deadline * len(cases) + GRACE)
    reads = [
        Read(
            name,
            link.name,
            case,
            one["seconds"],
            one["cpu"],
            one["requests"],
            [(first, second) for first, second in one["rows"]],
            one["stopped"],
            one["error"],
        )
        for case, one in zip(cases, found["cases"], strict=True)
    ]
    return Run(reads, found["requests"], found["first_requests"])


def expected_requests(reads: Sequence[Read], stopped: Read) -> int | None:
    """The requests of the whole of a stopped read: those on another link, or in proportion to fewer items."""
    whole = [read for read in reads if read.measured and not read.stopped]
    whole = [read for read in whole if (read.reader, read.case.kind) == (stopped.reader, stopped.case.kind)]
    if not whole:
        return None
    nearest = max(whole, key=lambda read: (read.case.size == stopped.case.size, read.case.size))
    return round(statistics.median(nearest.requests) * stopped.case.size / nearest.case.size)


def differences(read: Read) -> str:
    """What was found, as a number, and what is wrong with it."""
    if read.stopped:
        return "stopped"
    counts = Counter(twice=read.twice, missing=read.missing, strange=read.strange)
    wrong = [f"{count:,} {name}" for name, count in counts.items() if count]
    if not wrong and not read.right:
        wrong = ["out of order"]
    return f"{len(read.rows):,}" + (f" ({', '.join(wrong)})" if wrong else "")
