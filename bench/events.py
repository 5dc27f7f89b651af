"""How soon, how fast and for how many requests events come through `client.events()`.

Run: python bench/events.py [--quick] [--check] [--json FILE]

The delay from a block to its watcher, with a WebSocket and without; the requests that 1 and 100 watchers make
for the same blocks; and events a second, of the past and live, on a chain that the real contracts made. It
takes two minutes, --quick half of one. --check fails when a target is missed. The last line is the result as
JSON.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from events_parts import measures
from events_parts.happening import Deposits
from events_parts.measures import Asked, Flow
from index_parts import chain as chains
from ogpu.networks import load_network_file
from ogpu.rpc.steps import POLL
from shared import entry
from shared.entry import progress
from shared.network import started
from shared.targets import Target

MOST_DELAY = 0.1  # seconds, with a WebSocket
WATCHERS = (1, 100)


class Bench:
    """One run of the whole, with what it has found."""

    def __init__(self, *, quick: bool) -> None:
        self._rounds = (20, 6) if quick else (60, 25)
        self._events = (10_000, 5_000) if quick else (60_000, 20_000)
        self.heard: list[float] = []
        self.polled: list[float] = []
        self.asked: list[Asked] = []
        self.flows: list[Flow] = []

    def run(self, folder: Path) -> None:
        """Measure, and print the tables."""
        with started(folder / "network", None) as local:
            network, deposits = load_network_file(local.file), Deposits(local)
            try:
                progress("delays")
                self.heard = asyncio.run(measures.delays(network, deposits, self._rounds[0], heard=True))
                self.polled = asyncio.run(measures.delays(network, deposits, self._rounds[1], heard=False))
                progress("requests")
                self.asked = [asyncio.run(measures.requests(network, deposits, each)) for each in WATCHERS]
            finally:
                deposits.close()
        asyncio.run(self._flow())
        self._show()

    async def _flow(self) -> None:
        async with chains.running() as chain:
            progress("live events")
            for watchers in (1, 10):
                self.flows.append(await measures.live(chain, self._events[1], watchers))
            progress("past events")
            await chain.grow(self._events[0])
            head = await chain.settle()
            self.flows.append(await measures.history(chain, head))
            self.flows.append(await asyncio.to_thread(measures.history_plain, chain, head))

    def _show(self) -> None:
        print(f"{'from a block to its watcher, ms':<40} {'median':>8} {'p90':>8} {'most':>8}")
        for name, found in (("with a WebSocket", self.heard), (f"a poll each {POLL:g} s", self.polled)):
            print(f"{name:<40} {_ms(statistics.median(found))} {_ms(_p90(found))} {_ms(max(found))}")
        print(f"\n{'HTTP requests':<40} {'to begin':>8} {f'{measures.BLOCKS} blocks':>10}")
        for asked in self.asked:
            print(f"{f'{asked.watchers} watchers':<40} {asked.started:>8} {asked.blocks:>10}")
        print(f"\n{'events':<40} {'a second':>10} {'events':>10} {'seconds':>8}")
        for flow in self.flows:
            print(f"{flow.name:<40} {flow.rate:>10,.0f} {flow.events:>10,} {flow.seconds:>8.2f}")
        print("  live: as fast as the node mines, and for several watchers all that they get together\n")

    def targets(self) -> Sequence[Target]:
        """What was asked for."""
        heard, polled = statistics.median(self.heard), statistics.median(self.polled)
        one, hundred = (asked.started + asked.blocks for asked in self.asked)
        return [
            Target(
                "median delay with a WebSocket",
                f"at most {MOST_DELAY * 1e3:g} ms",
                f"{heard * 1e3:.1f} ms",
                heard <= MOST_DELAY,
            ),
            Target(
                "median delay without",
                f"at most {POLL * 1e3:g} ms",
                f"{polled * 1e3:.1f} ms",
                polled <= POLL,
            ),
            Target(
                f"requests of {WATCHERS[1]} watchers",
                f"those of one: {one}",
                str(hundred),
                hundred <= one * 1.2 + 2,  # a poll falls between two blocks, or it does not
            ),
        ]

    def figures(self) -> dict[str, Any]:
        """What was measured, as plain values."""
        return {
            "poll": POLL,
            "delays": {"websocket": self.heard, "poll": self.polled},
            "requests": [asdict(asked) for asked in self.asked],
            "flows": [{**asdict(flow), "rate": round(flow.rate)} for flow in self.flows],
        }


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:>8.1f}"


def _p90(found: Sequence[float]) -> float:
    return sorted(found)[int(0.9 * (len(found) - 1))]


def main() -> int:
    """Measure, print the tables, and the same as JSON on the last line."""
    parser = entry.parser("How soon, how fast and for how many requests events come.", "fewer rounds")
    options = parser.parse_args()
    return entry.measured("events", Bench(quick=options.quick), options)


if __name__ == "__main__":
    sys.exit(main())
