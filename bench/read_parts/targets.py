"""What was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from read_parts.report import times
from read_parts.runs import OURS, Read
from shared.targets import Target

ITEMS = 100  # responses, at which the peers are compared
MANY = 1000
MOST_REQUESTS = 12  # for so many responses


def of_speed(reads: Sequence[Read], wanted: Mapping[str, float]) -> list[Target]:
    """How many times as fast each peer, by link."""
    found = []
    for read in reads:
        if read.reader == OURS or (read.case.kind, read.case.size) != ("responses", ITEMS):
            continue
        name, least = f"{ITEMS} responses, {read.link}, beside {read.reader}", wanted[read.link]
        if read.measured:
            ratio = times(reads, read)
            mark = "~" if read.stopped else ""  # extrapolated, or more than that
            found.append(Target(name, f"at least {least:g}x", f"{mark}{ratio:.1f}x", ratio >= least))
    return found


def of_requests(reads: Sequence[Read], first: int) -> list[Target]:
    """The requests for many responses, of a client that has read before, and of a new one."""
    own = [read for read in reads if read.reader == OURS and read.case.kind == "responses"]
    if max(read.case.size for read in own) != MANY:
        return []
    warm = max(read.http_requests for read in own)
    return [
        Target(f"{MANY:,} responses, {name}", f"at most {MOST_REQUESTS} requests", f"{n}", n <= MOST_REQUESTS)
        for name, n in (("HTTP requests", warm), ("by a new client", first))
    ]


def of_counts(sent: int, seen: int) -> list[Target]:
    """That the readers count their requests as the proxy does."""
    return [Target("requests, as the readers count them", f"the proxy's {seen:,}", f"{sent:,}", sent == seen)]


def of_rows(reads: Sequence[Read]) -> list[Target]:
    """That ours are all there, once, in order."""
    wrong = sum(not read.right for read in reads if read.reader == OURS)
    return [Target("every item as it was made", "no difference", f"{wrong} reads differ", not wrong)]
