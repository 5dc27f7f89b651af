"""Sums over all items, and over intervals of time. Pure."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable

from ogpu.indexer.rows import Row, Rows
from ogpu.indexer.tables import LATENCY_BINS, WIDTHS, buckets, totals

TOTALS = 1  # the key of the only row
_COUNTS = [column.name for column in totals.columns if column.name != "id"]
_IN_BUCKET = [
    column.name for column in buckets.columns if column.name not in ("width", "start", "first_response_bins")
]


def starts(at: int) -> Iterable[tuple[int, int]]:
    """The intervals that a time (Unix seconds) is in: width and start."""
    return [(width, at - at % width) for width in WIDTHS]


class Tally:
    """What adds to the sums."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def total(self, name: str, amount: int = 1) -> None:
        """Add to a sum over all."""
        row = self._rows.edit("totals", TOTALS)
        if row is None:
            row = self._rows.put("totals", {"id": TOTALS, **dict.fromkeys(_COUNTS, 0)})
        row[name] += amount

    def count(self, at: int, name: str, amount: int = 1) -> None:
        """Add to a sum of the intervals that a time is in."""
        for width, start in starts(at):
            self._bucket(width, start)[name] += amount

    def active(self, at: int, provider: str) -> None:
        """Note that a provider did something."""
        for width, start in starts(at):
            if self._rows.find("bucket_providers", width, start, provider) is None:
                self._rows.put("bucket_providers", {"width": width, "start": start, "provider": provider})
                self._bucket(width, start)["active_providers"] += 1

    def first_response(self, at: int, seconds: int) -> None:
        """Note how long a task waited for its first response."""
        place = bisect_left(LATENCY_BINS, seconds)
        for width, start in starts(at):
            bucket = self._bucket(width, start)
            bins = json.loads(bucket["first_response_bins"])
            bins[place] += 1
            bucket["first_response_bins"] = json.dumps(bins, separators=(",", ":"))

    def _bucket(self, width: int, start: int) -> Row:
        found = self._rows.edit("buckets", width, start)
        if found is not None:
            return found
        bins = json.dumps([0] * (len(LATENCY_BINS) + 1), separators=(",", ":"))
        row = {"width": width, "start": start, **dict.fromkeys(_IN_BUCKET, 0), "first_response_bins": bins}
        return self._rows.put("buckets", row)
