"""How the API and the page answer while the index is filled.

Run: python bench/serve.py [--quick] [--check] [--json FILE]

A contract makes 120,000 events on a node of its own. `ogpu serve` begins an index of it, and when a tenth is
there, another process asks for 200 answers a second for 60 seconds: lists, items, searches, statistics and
pages, mixed, and beside them 20 streams of live changes and 10 connections that read nothing. --quick makes
20,000 events and asks for 10 seconds. --check fails when a target is missed. The last line is the result as
JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from index_parts import chain
from shared import entry
from shared.entry import progress
from shared.program import BENCH, run
from shared.targets import Target

EVENTS, QUICK_EVENTS = 120_000, 20_000
SECONDS, QUICK_SECONDS = 60, 10
RATE = 200  # requests a second
LONGEST = 600.0  # seconds for the load
P99 = 0.2  # seconds


class Bench:
    """One run of the whole, with what it has found."""

    def __init__(self, *, quick: bool) -> None:
        self._events = QUICK_EVENTS if quick else EVENTS
        self._seconds = QUICK_SECONDS if quick else SECONDS
        self.found: dict[str, Any] = {}

    def run(self, folder: Path) -> None:
        """Measure, and print the table."""
        asyncio.run(self._run(folder))

    async def _run(self, folder: Path) -> None:
        async with chain.running() as node:
            progress(f"making {self._events:,} events")
            await node.grow(self._events)
            await node.settle()
            file = folder / "network.json"
            file.write_text(json.dumps(node.network_file()))
            process = await _serving(folder, file)
            try:
                assert process.stdout is not None
                url = json.loads(await process.stdout.readline())["url"]
                await _indexed(url, self._events // 10)
                progress(f"{RATE} requests a second for {self._seconds} s")
                await asyncio.to_thread(self._load, folder, url, process.pid)
            finally:
                process.terminate()
                await process.wait()
        self._print()

    def _load(self, folder: Path, url: str, server: int) -> None:
        job = {"url": url, "rate": RATE, "seconds": self._seconds}
        program = BENCH / "serve_parts" / "load.py"
        watched = psutil.Process(server)
        before = watched.cpu_times()
        self.found = run([sys.executable, str(program)], job, folder, LONGEST)
        after = watched.cpu_times()
        self.found["cpu_seconds"] = after.user + after.system - before.user - before.system
        self.found["memory"] = watched.memory_info().rss

    def _times(self) -> dict[str, list[float]]:
        by_kind: dict[str, list[float]] = defaultdict(list)
        for kind, _, seconds in self.found["asked"]:
            by_kind[kind].append(seconds)
            by_kind["all"].append(seconds)
        return {kind: sorted(times) for kind, times in sorted(by_kind.items())}

    def _errors(self) -> int:
        return sum(status != 200 for _, status, _ in self.found["asked"])

    def _indexed(self) -> int:
        return int(self.found["after"]["events"] - self.found["before"]["events"])

    def _print(self) -> None:
        print(
            f"{'what was asked':<22} {'requests':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}"
        )
        for kind, times in self._times().items():
            cells = "".join(f" {1e3 * at(times, part):>8.1f}" for part in (0.5, 0.95, 0.99, 1))
            print(f"{kind:<22} {len(times):>9}{cells}")
        found = self.found
        print(
            f"{len(found['asked']) / found['seconds']:.1f} requests a second, {self._errors()} errors; "
            f"{self._indexed():,} events indexed meanwhile, {found['after']['events']:,} at the end; "
            f"{found['messages']:,} live messages; server {found['cpu_seconds']:.1f} s CPU, "
            f"{found['memory'] / 2**20:.0f} MiB"
        )

    def targets(self) -> list[Target]:
        """What was asked for."""
        rate = len(self.found["asked"]) / self.found["seconds"]
        p99 = at(self._times()["all"], 0.99)
        indexed = self._indexed()
        return [
            Target("requests a second", f">= {0.98 * RATE:g}", f"{rate:.1f}", rate >= 0.98 * RATE),
            Target("99th percentile, ms", f"<= {1e3 * P99:g}", f"{1e3 * p99:.1f}", p99 <= P99),
            Target("errors", "0", str(self._errors()), not self._errors()),
            Target("events indexed meanwhile", "> 0", f"{indexed:,}", indexed > 0),
        ]

    def figures(self) -> dict[str, Any]:
        """All that was measured, as plain values."""
        times = {
            kind: {"requests": len(each), **{f"p{p}": at(each, p / 100) for p in (50, 95, 99, 100)}}
            for kind, each in self._times().items()
        }
        rest = {name: value for name, value in self.found.items() if name != "asked"}
        return {"times": times, "errors": self._errors(), "indexed": self._indexed(), **rest}


def at(times: list[float], part: float) -> float:
    """A percentile of sorted times."""
    return times[min(len(times) - 1, int(part * len(times)))]


async def _serving(folder: Path, network: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ogpu", "serve", "--network-file", str(network), "--port", "0", "--json"),
        *("--database", str(folder / "index.sqlite3"), "--rate-limit", "0"),
        stdout=asyncio.subprocess.PIPE,
    )


async def _indexed(url: str, events: int) -> None:
    """Wait until so many are in the index."""
    async with aiohttp.ClientSession(url) as session:
        while True:
            async with session.get("/api/statistics") as response:
                found = (await response.json()).get("data")
            if found and found["totals"]["events"] >= events:
                return
            await asyncio.sleep(0.1)


def main() -> int:
    """Measure, print the table, and the same as JSON on the last line."""
    parser = entry.parser("How the API answers while the index is filled.", "20,000 events, 10 seconds")
    options = parser.parse_args()
    return entry.measured("serve", Bench(quick=options.quick), options)


if __name__ == "__main__":
    sys.exit(main())
