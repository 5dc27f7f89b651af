"""How fast tasks are published, beside the published packages, on the same network and node.

Run: python bench/publish.py [--quick] [--full] [--check] [--json FILE] [--only PART ...]

The parts are throughput, peers, latency and scaling. --quick takes one run of each and fewer tasks and is
done within two minutes (the first time installs the peers' environments, which takes longer); --full adds
10,000 tasks; --check fails when a target is missed. The last line is the result as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from publish_parts import report, runs, targets
from publish_parts.job import Job, run
from shared import entry
from shared.entry import progress
from shared.environments import VERSIONS, python_of
from shared.network import BenchNetwork, new_keys, started
from shared.program import CannotRun
from shared.targets import Target

BLOCK_TIME = 1.0
PARTS = ("throughput", "peers", "latency", "scaling")
TASKS = 1000
LATENCY = (sys.executable, "-m", "publish_parts.latency")


class Bench:
    """One run of the whole, with what it has found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._rounds = 1 if options.quick else 3
        self.ours = runs.Measured("ours", [])
        self.peers: list[runs.Measured] = []
        self.latency: dict[str, Any] | None = None
        self.scaling: list[runs.Measured] = []

    def throughput(self, network: BenchNetwork) -> None:
        """This library: 1,000 tasks from one key."""
        progress(f"ours, {TASKS:,} tasks")
        keys = new_keys(network, self._rounds)
        self.ours = runs.ours("ours", network, keys, TASKS, BLOCK_TIME)
        report.print_ours(self.ours)

    def beside(self, network: BenchNetwork) -> None:
        """The published packages, with one thread and with 16."""
        quick = self._options.quick
        sizes = {1: 6, 16: 48} if quick else {1: 20, 16: 100}
        deadline = 20.0 if quick else 180.0
        for version in VERSIONS:
            with contextlib.suppress(CannotRun):  # the table says so
                python_of(version)
            for threads, count in sizes.items():
                keys = new_keys(network, self._rounds)
                jobs = [Job(count, key, threads, deadline) for key in keys]
                self.peers.append(runs.peer(version, network, jobs, BLOCK_TIME, progress))
        report.print_peers(self.ours, self.peers)

    def single(self, folder: Path) -> None:
        """One publish at a time, with instant blocks."""
        progress("latency")
        with started(folder / "instant", None) as network:
            keys = new_keys(network, 3)
            job = Job(50, " ".join(keys), journal=str(network.file.parent / "journal.sqlite"))
            self.latency = run(LATENCY, network, job, network.file.parent)
        report.print_latency(self.latency)

    def growing(self, network: BenchNetwork) -> None:
        """The same with more and more tasks."""
        sizes = [10, 100, 1000] + ([10_000] if self._options.full else [])
        for count, key in zip(sizes, new_keys(network, len(sizes)), strict=True):
            progress(f"scaling, {count:,} tasks")
            self.scaling.append(runs.ours(f"{count}", network, [key], count, BLOCK_TIME))
        report.print_scaling(self.scaling)

    def run(self, folder: Path) -> None:
        """Measure the parts that are asked for, and print their tables."""
        parts = self._options.only
        if {"throughput", "peers"} & set(parts):
            with started(folder / "blocks", BLOCK_TIME) as network:
                self.throughput(network)
                if "peers" in parts:
                    self.beside(network)
        if "latency" in parts:
            self.single(folder)
        if "scaling" in parts:
            with started(folder / "scaling", BLOCK_TIME) as network:
                self.growing(network)

    def targets(self) -> list[Target]:
        """What was asked for, as far as it was measured."""
        return [
            *targets.of_throughput(self.ours),
            *targets.of_peers(self.ours, self.peers),
            *targets.of_latency(self.latency),
            *targets.of_scaling(self.scaling),
        ]

    def figures(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "ours": report.as_json(self.ours),
            "peers": [report.as_json(peer) for peer in self.peers],
            "latency_ms": report.latencies(self.latency) if self.latency else None,
            "scaling": [report.as_json(measured) for measured in self.scaling],
        }


def main() -> int:
    """Measure, print the tables, and the same as JSON on the last line."""
    parser = entry.parser("How fast tasks are published.", "one run of each, within two minutes")
    parser.add_argument("--full", action="store_true", help="10,000 tasks too")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    options = parser.parse_args()
    return entry.measured("publish", Bench(options), options)


if __name__ == "__main__":
    sys.exit(main())
