"""The tables, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from read_parts.runs import OURS, Read, differences

COLUMNS = f"{'':<18} {'':<15} {'ms':>12} {'requests':>9} {'CPU ms':>10} {'ours is':>9}  found"

EXTRAPOLATED = """\
  ~ extrapolated: stopped, and multiplied by all requests over those sent; all is what another link
    took, or in proportion to fewer items · > stopped, and nothing tells how many all are"""


def own(reads: Sequence[Read], read: Read) -> Read:
    """This library's read of the same case on the same link."""
    (found,) = (one for one in reads if (one.reader, one.link, one.case) == (OURS, read.link, read.case))
    return found


def times(reads: Sequence[Read], peer: Read) -> float:
    """How many times as fast ours is."""
    return peer.wall / own(reads, peer).wall


def print_link(reads: Sequence[Read], link: str) -> None:
    """Everybody, case by case."""
    print(f"reading, {link}\n{COLUMNS}")
    case = None
    for read in (one for one in reads if one.link == link):
        title, case = ("" if read.case is case else read.case.name), read.case
        print(f"{title:<18} {read.reader:<15} {_figures(reads, read)}".rstrip())
    print()


def _figures(reads: Sequence[Read], read: Read) -> str:
    if not read.measured:
        return f"{'-':>12} {'-':>9} {'-':>10} {'':>9}  {read.error}"
    mark = ("~" if read.expected else ">") if read.stopped else ""
    ratio = "" if read.reader == OURS else f"{mark}{times(reads, read):,.1f}x"
    wall, requests, cpu = (
        f"{read.wall * 1e3:,.1f}",
        f"{read.http_requests:,}",
        f"{read.cpu_seconds * 1e3:,.1f}",
    )
    figures = " ".join(f"{mark + value:>{width}}" for value, width in ((wall, 11), (requests, 9), (cpu, 9)))
    return f"{figures} {ratio:>9}  {differences(read)}"


def print_notes(reads: Sequence[Read]) -> None:
    """What the marks say."""
    print("  medians of their rounds, on connections that are open; one round where a read takes long")
    print("  0.2.3 gives objects that ask the node at each call: their snapshot() is what is read")
    print("  twice: came again · missing: is there and did not come · strange: is not there")
    if any(read.stopped for read in reads):
        print(EXTRAPOLATED)
    print()


def as_json(reads: Sequence[Read], read: Read) -> dict[str, Any]:
    """A read as plain values."""
    known = read.measured
    return {
        "reader": read.reader,
        "link": read.link,
        "kind": read.case.kind,
        "items": read.case.size,
        "error": read.error,
        "seconds": [round(value, 6) for value in read.seconds],
        "cpu_seconds": [round(value, 6) for value in read.cpu],
        "http_requests": list(read.requests),
        "stopped": read.stopped,
        "extrapolated_seconds": round(read.wall, 3) if known and read.stopped and read.expected else None,
        "times": round(times(reads, read), 2) if known and read.reader != OURS else None,
        "found": len(read.rows),
        "twice": read.twice,
        "missing": read.missing if known and not read.stopped else None,
        "strange": read.strange,
        "right": read.right,
    }
