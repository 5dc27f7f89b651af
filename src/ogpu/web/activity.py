"""What happened over time, in intervals that fit: seconds for a network of minutes, days for one of years."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, distinct, func, select

from ogpu.indexer.tables import (
    LATENCY_BINS,
    WIDTHS,
    attempts,
    bucket_providers,
    buckets,
    responses,
    tasks,
    totals,
)
from ogpu.types import TaskStatus

HOUR, DAY = 3600, 86400
STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
    HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY,
)  # fmt: skip
MOST_COLUMNS = 60
FEW = 5000  # tasks that may be counted one by one
RANGES = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
SETTLED = {TaskStatus.FINALIZED: "finalized", TaskStatus.CANCELED: "canceled", TaskStatus.EXPIRED: "expired"}


@dataclass
class Interval:
    """What happened from `start` on; `bins` counts first responses by how long they took (LATENCY_BINS)."""

    start: int
    published: int = 0
    attempted: int = 0
    responded: int = 0
    finalized: int = 0
    canceled: int = 0
    expired: int = 0
    active: int = 0
    paid: int = 0
    bins: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BINS) + 1))


@dataclass(frozen=True)
class Activity:
    """Intervals of one width without a gap, under the name of their range."""

    range: str
    ranges: tuple[str, ...]
    width: int
    intervals: tuple[Interval, ...]

    def bins(self) -> list[int]:
        """First responses of the whole time, by how long they took."""
        return [sum(column) for column in zip(*(each.bins for each in self.intervals), strict=True)]


def activity(conn: Connection, wanted: str, now: int) -> Activity:
    """What happened in a range of `RANGES`, or "all"; in what fits when no such range is asked for."""
    span = _span(conn)
    if span is None:
        return Activity("all", (), 60, ())
    first, last = span
    ranges = (*(name for name, seconds in RANGES.items() if seconds < last - first), "all")
    chosen = wanted if wanted in ranges else "7d" if "7d" in ranges and now - last < 7 * DAY else "all"
    start, end = _window(first, last, RANGES.get(chosen), now)
    few = (conn.execute(select(totals.c.tasks)).scalar() or 0) <= FEW
    width = width_for(end - start, 1 if few else WIDTHS[0])
    start -= start % width
    empty = {at: Interval(at) for at in range(start, end, width)}
    if width < WIDTHS[0]:
        _count_items(conn, empty, start, width)
    else:
        _sum_buckets(conn, empty, start, end, width)
    return Activity(chosen, ranges if len(ranges) > 1 else (), width, tuple(empty.values()))


def width_for(seconds: int, least: int = 1) -> int:
    """How long an interval is, so that there are not too many columns."""
    return next(step for step in STEPS if step >= least and seconds / step <= MOST_COLUMNS)


def _span(conn: Connection) -> tuple[int, int] | None:
    """When the first task was published, and when something last happened."""
    first = conn.execute(select(tasks.c.published_at).order_by(tasks.c.published_block).limit(1)).scalar()
    if first is None:
        return None
    last = conn.execute(select(func.max(buckets.c.start)).where(buckets.c.width == WIDTHS[0])).scalar()
    if last is None or last - first < HOUR:  # to the second
        newest = select(tasks).order_by(tasks.c.published_block.desc()).limit(100)
        times = [
            at or 0
            for row in conn.execute(newest)
            for at in (row.published_at, row.attempted_at, row.responded_at, row.settled_at)
        ]
        last = max(times)
    return first, max(first, last)


def _window(first: int, last: int, seconds: int | None, now: int) -> tuple[int, int]:
    """Where a chart begins and ends: it goes on to now, unless the network has been still for long."""
    if seconds is not None:
        end = max(last, now) if now - last < seconds else last
        return end - seconds, end + 1
    span = max(last - first, 8)
    end = now if 0 < now - last < span / 3 else last + max(span // 20, 1)
    return first, end + 1


def _sum_buckets(conn: Connection, into: dict[int, Interval], start: int, end: int, width: int) -> None:
    base = max(each for each in WIDTHS if width % each == 0)
    rows = conn.execute(
        select(buckets).where(buckets.c.width == base, buckets.c.start >= start, buckets.c.start < end)
    )
    for row in rows:
        each = into[row.start - (row.start - start) % width]
        for name in ("published", "attempted", "responded", "finalized", "canceled", "expired", "paid"):
            setattr(each, name, getattr(each, name) + getattr(row, name))
        each.active = row.active_providers
        each.bins = [a + b for a, b in zip(each.bins, json.loads(row.first_response_bins), strict=True)]
    if base == width:
        return
    place = (bucket_providers.c.start - start) // width
    counted = (
        select(place, func.count(distinct(bucket_providers.c.provider)))
        .where(
            bucket_providers.c.width == base,
            bucket_providers.c.start >= start,
            bucket_providers.c.start < end,
        )
        .group_by(place)
    )
    for position, number in conn.execute(counted):
        into[start + int(position) * width].active = number


def _count_items(conn: Connection, into: dict[int, Interval], start: int, width: int) -> None:
    """The same from the items themselves, for intervals shorter than any bucket."""

    def at(when: int | None) -> Interval | None:
        return None if when is None else into.get(when - (when - start) % width)

    seen: dict[int, set[str]] = {}
    for row in conn.execute(select(tasks).where(tasks.c.published_at >= start)):
        _count_task(row, at)
    for table, column, name in (
        (attempts, attempts.c.attempted_at, "attempted"),
        (responses, responses.c.submitted_at, "responded"),
    ):
        for when, provider in conn.execute(select(column, table.c.provider).where(column >= start)):
            each = at(when)
            if each is not None:
                setattr(each, name, getattr(each, name) + 1)
                seen.setdefault(each.start, set()).add(provider)
    for begun, who in seen.items():
        into[begun].active = len(who)


def _count_task(row: Row[Any], at: Any) -> None:
    if (published := at(row.published_at)) is not None:
        published.published += 1
    if (responded := at(row.responded_at)) is not None:
        responded.bins[bin_of(row.responded_at - row.published_at)] += 1
    if (settled := at(row.settled_at)) is not None and row.status in SETTLED:
        name = SETTLED[TaskStatus(row.status)]
        setattr(settled, name, getattr(settled, name) + 1)
        settled.paid += row.paid or 0


def bin_of(seconds: int) -> int:
    """The place of a wait in LATENCY_BINS; one past them for what took longer."""
    return next((place for place, most in enumerate(LATENCY_BINS) if seconds <= most), len(LATENCY_BINS))


def quantile(bins: Sequence[int], share: float) -> tuple[int, int | None] | None:
    """Between which seconds a share of first responses lies; None for the upper bound of the last bin."""
    total, reached = sum(bins), 0
    edges = (0, *LATENCY_BINS)
    for place, number in enumerate(bins):
        reached += number
        if total and reached >= share * total:
            return edges[place], LATENCY_BINS[place] if place < len(LATENCY_BINS) else None
    return None


def filled(bins: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """The bins up to the slowest that has any: the range, a word for it, and the number."""
    edges = (0, *LATENCY_BINS)
    last = max((place for place, number in enumerate(bins) if number), default=-1)
    for place, number in enumerate(bins[: max(last + 2, 6)]):
        begin = _edge(edges[place])
        if place < len(LATENCY_BINS):
            end = _edge(edges[place + 1])
            yield f"more than {begin}, up to {end}" if place else f"up to {end}", f"≤ {end}", number
        else:
            yield f"more than {begin}", f"> {begin}", number


def _edge(seconds: int) -> str:
    return (
        f"{seconds} s"
        if seconds < 60
        else f"{seconds // 60} min"
        if seconds < HOUR
        else f"{seconds // HOUR} h"
    )
