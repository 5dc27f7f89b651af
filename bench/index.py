"""How fast the index is filled, what it costs, and how quickly the page and the API answer from it.

Run: python bench/index.py [--quick] [--check] [--json FILE]

A contract makes 100,000 events on a node of its own, and then a million, through the real contracts: tasks in
all states, attempts, responses, payments, and as many events of the Vault and of Terminal. Each time they are
indexed into an empty SQLite and an empty PostgreSQL, by a process of its own; from the larger ones, each
page and each list of the API is asked for. That takes half an hour, most of it for the node; --quick makes
5,000 and 50,000 events, and is done in a minute. --check fails when a target is missed. The last line is the
result as JSON. The contract is compiled by npm's solc, in contracts/node_modules.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from index_parts import chain, report
from index_parts.asking import Asked, ask
from index_parts.databases import postgres, size_of
from index_parts.report import Fill
from shared import entry
from shared.entry import progress
from shared.program import BENCH, run
from shared.targets import Target

SIZES = (100_000, 1_000_000)  # events
QUICK_SIZES = (5_000, 50_000)
LONGEST = 3600.0  # seconds for one backfill


class Bench:
    """One run of the whole, with what it has found."""

    def __init__(self, *, quick: bool) -> None:
        self._sizes = QUICK_SIZES if quick else SIZES
        self.fills: list[Fill] = []
        self.asked: dict[str, Sequence[Asked]] = {}

    def run(self, folder: Path) -> None:
        """Measure, and print the tables."""
        asyncio.run(self._run(folder))

    async def _run(self, folder: Path) -> None:
        with postgres(folder / "postgres") as schema:
            async with chain.running() as node:
                for size in self._sizes:
                    begin = time.perf_counter()
                    progress(f"making {size:,} events")
                    await node.grow(size)
                    head = await node.settle()
                    progress(f"made in {time.perf_counter() - begin:.0f} s, up to block {head}")
                    places = {"SQLite": str(folder / f"{size}.sqlite3"), "PostgreSQL": schema()}
                    for name, place in places.items():
                        await asyncio.to_thread(self._fill, folder, node, head, name, place)
            report.print_fills(self.fills)
            for name, place in places.items():
                progress(f"asking {name}")
                self.asked[name] = await asyncio.to_thread(ask, place)
                report.print_asked(name, self.asked[name])

    def _fill(self, folder: Path, node: chain.Chain, head: int, name: str, place: str) -> None:
        job = {"network": node.network_file(), "database": place, "head": head}
        program = BENCH / "index_parts" / "fill.py"
        found = run([sys.executable, str(program)], job, folder, LONGEST)
        fill = Fill(name, node.events, node.tasks, **found, size=size_of(place))
        progress(f"{name}: {fill.events:,} events in {fill.seconds:.1f} s, {fill.rate:,.0f} a second")
        self.fills.append(fill)

    def targets(self) -> list[Target]:
        """What was asked for."""
        return report.targets(self.fills, self.asked)

    def figures(self) -> dict[str, Any]:
        """All that was measured, as plain values."""
        return report.as_json(self.fills, self.asked)


def main() -> int:
    """Measure, print the tables, and the same as JSON on the last line."""
    parser = entry.parser("How fast the index is filled and answers.", "make a twentieth of the events")
    options = parser.parse_args()
    return entry.measured("index", Bench(quick=options.quick), options)


if __name__ == "__main__":
    sys.exit(main())
