"""The tables, the same as JSON, and what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from index_parts.asking import Asked
from shared.targets import Target

LEAST_EVENTS = 3000  # a second
MOST_MEMORY = 300 * 10**6  # bytes
MOST_MILLISECONDS = 50  # of 95 of 100 requests
LINEAR = 1.35  # what an event may cost at ten times the size, beside what it cost before
FLAT = 1.35  # the same for memory


@dataclass(frozen=True)
class Fill:
    """One backfill: seconds, and bytes of memory and of the database."""

    database: str
    events: int
    tasks: int
    seconds: float
    cpu_seconds: float
    memory: int
    memory_before: int
    size: int

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def print_fills(fills: Sequence[Fill]) -> None:
    """Each backfill in a line."""
    figures = f"{'s':>8} {'events/s':>9} {'CPU s':>7} {'MB':>6} {'size MB':>8}"
    print(f"{'backfill':<12} {'events':>10} {figures}  bytes")
    for fill in fills:
        figures = (
            f"{fill.seconds:>8.1f} {fill.rate:>9,.0f} {fill.cpu_seconds:>7.1f} {fill.memory / 1e6:>6.0f}"
        )
        each = f"{fill.size / fill.events:,.0f} an event, {fill.size / fill.tasks:,.0f} a task"
        print(f"{fill.database:<12} {fill.events:>10,} {figures} {fill.size / 1e6:>8.1f}  {each}")
    print(
        "  MB: the most memory of the process that indexes; a task's bytes are with all that is beside it\n"
    )


def print_asked(database: str, asked: Sequence[Asked]) -> None:
    """Each kind of request in a line, the slowest first."""
    print(f"{'asked of ' + database:<42} {'median ms':>9} {'p95 ms':>8} {'first':>8} {'in database':>12}")
    for one in sorted(asked, key=lambda one: -one.p95):
        median = sorted(one.times)[len(one.times) // 2]
        times = f"{median * 1e3:>9.1f} {one.p95 * 1e3:>8.1f} {one.first * 1e3:>8.1f}"
        odd = "" if one.status < 400 else f"  HTTP {one.status}"
        print(f"{one.kind:<42} {times} {one.in_database * 1e3:>12.1f}{odd}")
    print()


def targets(fills: Sequence[Fill], asked: dict[str, Sequence[Asked]]) -> list[Target]:
    """What was asked for."""
    found = []
    for fill in fills:
        name = f"{fill.database}, {fill.events:,} events"
        fast, small = fill.rate >= LEAST_EVENTS, fill.memory < MOST_MEMORY
        found.append(Target(name, f"at least {LEAST_EVENTS:,} a second", f"{fill.rate:,.0f}", fast))
        found.append(Target(f"{name}: memory", "below 300 MB", f"{fill.memory / 1e6:.0f} MB", small))
    for database in dict.fromkeys(fill.database for fill in fills):
        small_one, large = (fill for fill in fills if fill.database == database)
        cost, memory = small_one.rate / large.rate, large.memory / small_one.memory
        name = f"{database}: an event at ten times the size"
        found.append(Target(name, f"at most {LINEAR:g}x", f"{cost:.2f}x", cost <= LINEAR))
        name = f"{database}: memory at ten times the size"
        found.append(Target(name, f"at most {FLAT:g}x", f"{memory:.2f}x", memory <= FLAT))
    for database, answers in asked.items():
        slowest = max(answers, key=lambda one: one.p95)
        quick = slowest.p95 * 1e3 <= MOST_MILLISECONDS
        name, wanted = f"{database}, p95 of the slowest request", f"at most {MOST_MILLISECONDS} ms"
        found.append(Target(name, wanted, f"{slowest.p95 * 1e3:.1f} ms", quick))
        wrong = sum(one.status >= 400 for one in answers)
        found.append(Target(f"{database}, kinds of requests", "all answered", f"{wrong} not", not wrong))
    return found


def as_json(fills: Sequence[Fill], asked: dict[str, Sequence[Asked]]) -> dict[str, Any]:
    """All figures as plain values: seconds and bytes."""
    return {
        "fills": [{**vars(fill), "events_per_second": fill.rate} for fill in fills],
        "asked": {
            database: [
                {"kind": one.kind, "path": one.path, "status": one.status, "p95": one.p95, "first": one.first}
                | {"median": sorted(one.times)[len(one.times) // 2], "in_database": one.in_database}
                for one in answers
            ]
            for database, answers in asked.items()
        },
    }
