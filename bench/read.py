"""How fast responses and tasks are read, beside the published packages, on the same network and node.

Run: python bench/read.py [--quick] [--check] [--json FILE]

Each reads tasks with 1, 10, 100 and 1,000 responses, and snapshots of 1 and 100 tasks: on loopback, and
through a proxy that adds 50 ms to every HTTP request. That takes a quarter of an hour, since the peers do;
--quick stops what is slow after a few seconds, and is done in two minutes (the first time installs the peers'
environments, which takes longer). What was stopped is extrapolated, and the tables say so. --check fails
when a target is missed. The last line is the result as JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from read_parts import report, runs, targets
from read_parts.cases import Case, made
from read_parts.proxy import delayed
from read_parts.runs import LOOPBACK, Link, Read
from shared import entry
from shared.entry import progress
from shared.environments import VERSIONS
from shared.network import BenchNetwork, started
from shared.targets import Target

RESPONSES = (1, 10, 100, 1000)
TASKS = (1, 100)
ROUNDS = 3
DELAY = 0.05  # seconds
DELAYED = f"{DELAY * 1e3:g} ms a request"
TIMES = {LOOPBACK: 30.0, DELAYED: 100.0}  # as fast as a peer, at 100 responses


class Bench:
    """One run of the whole, with what it has found."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self.reads: list[Read] = []
        self.first_requests = 0
        self._sent = self._seen = 0  # requests on the delayed link, by the readers and by the proxy

    def run(self, folder: Path) -> None:
        """Measure on both links, and print their tables."""
        with started(folder / "network", None) as network:
            progress(f"making {sum(RESPONSES):,} responses")
            begin = time.perf_counter()
            cases = made(network, RESPONSES, TASKS)
            progress(f"made in {time.perf_counter() - begin:.1f} s")
            self.link(network, Link(LOOPBACK, network.url, 15.0 if self._quick else 180.0), cases)
            with delayed(network.url, DELAY) as proxy:
                self.link(network, Link(DELAYED, proxy.url, 5.0 if self._quick else 180.0), cases)
                self._seen = proxy.requests
        report.print_notes(self.reads)

    def link(self, network: BenchNetwork, link: Link, cases: Sequence[Case]) -> None:
        """Everybody on one link, and the table."""
        progress(f"ours, {link.name}")
        found = [runs.ours(network, link, cases, ROUNDS)]
        for version in VERSIONS:
            progress(f"ogpu {version}, {link.name}")
            found.append(runs.peer(version, network, link, cases, 1 if self._quick else ROUNDS))
        self.first_requests = max(self.first_requests, found[0].first_requests)
        self._sent = sum(run.requests for run in found)
        self.reads += [
            read for of_case in zip(*(run.reads for run in found), strict=True) for read in of_case
        ]
        self.reads = [
            replace(read, expected=runs.expected_requests(self.reads, read)) if read.stopped else read
            for read in self.reads
        ]
        report.print_link(self.reads, link.name)

    def targets(self) -> list[Target]:
        """What was asked for."""
        return [
            *targets.of_speed(self.reads, TIMES),
            *targets.of_requests(self.reads, self.first_requests),
            *targets.of_counts(self._sent, self._seen),
            *targets.of_rows(self.reads),
        ]

    def figures(self) -> dict[str, Any]:
        """Every read, as plain values."""
        return {
            "reads": [report.as_json(self.reads, read) for read in self.reads],
            "first_requests": self.first_requests,
        }


def main() -> int:
    """Measure, print the tables, and the same as JSON on the last line."""
    parser = entry.parser(
        "How fast responses and tasks are read.", "stop slow reads early, and extrapolate them"
    )
    options = parser.parse_args()
    return entry.measured("read", Bench(quick=options.quick), options)


if __name__ == "__main__":
    sys.exit(main())
