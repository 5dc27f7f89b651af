"""The overview's figures and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection

from ogpu.indexer.tables import LATENCY_BINS
from ogpu.web import charts, queries, show
from ogpu.web.activity import Activity, Interval, activity, bin_of, filled, quantile, width_for
from ogpu.web.charts import Columns, Series
from ogpu.web.page_queries import Answer
from ogpu.web.values import Totals

COIN = 10**18
SECONDS = {60: "minute", 3600: "hour", 86400: "day"}


@dataclass(frozen=True)
class Figure:
    """A number worth a large letter: what it is, a line under it, and how it went over time."""

    name: str
    value: Markup | str
    note: str
    spark: Markup


def overview_charts(connection: Connection, wanted: str, now: int) -> dict[str, Any]:
    """All that the overview draws, of the range that is asked for."""
    sums = queries.totals(connection)
    seen = activity(connection, wanted, now)
    columns = charts.of_time([each.start for each in seen.intervals], seen.width)
    return {
        "totals": sums,
        "activity": seen,
        "width": show.duration(seen.width),
        "figures": _figures(sums, seen),
        "share": _share(sums),
        "chart_tasks": _tasks(seen, columns),
        "chart_throughput": _throughput(seen, columns),
        "chart_spend": _spend(seen, columns),
        "chart_wait": _waits("Time to first response", seen.bins(), "tasks", "chart-wait"),
        "chart_active": _active(seen, columns),
    }


def provider_charts(answers: Sequence[Answer]) -> dict[str, Any]:
    """What a provider earned over time, and how long it took to answer."""
    if not answers:
        return {"chart_earned": "", "chart_answers": ""}
    width = width_for(answers[-1].at + 1 - answers[0].at)
    start = answers[0].at - answers[0].at % width
    starts = range(start, answers[-1].at + 1, width)
    earned = [0] * len(starts)
    bins = [0] * (len(LATENCY_BINS) + 1)
    for each in answers:
        earned[(each.at - start) // width] += each.paid
        bins[bin_of(each.seconds)] += 1
    paid = Series("earned", "s-paid", tuple(wei / COIN for wei in earned))
    says = f"{show.coins(sum(earned))} OGPU by its last {len(answers):,} answers"
    columns = charts.of_time(starts, width)
    return {
        "chart_earned": charts.bars(
            "Earned, OGPU", says, columns, [paid], number=_coins, whole=False, live="chart-earned"
        ),
        "chart_answers": _waits("Time to answer", bins, "answers", "chart-answers"),
    }


def _of(intervals: Sequence[Interval], name: str) -> tuple[int, ...]:
    return tuple(getattr(each, name) for each in intervals)


def _figures(sums: Totals, seen: Activity) -> list[Figure]:
    open_now = sums.new + sums.attempted + sums.responded
    settled = sums.finalized + sums.canceled + sums.expired
    bins = seen.bins()
    half, most = quantile(bins, 0.5), quantile(bins, 0.95)
    active = max(_of(seen.intervals, "active"), default=0)
    success = (
        f"{100 * sums.finalized / settled:.0f} % of the settled ones succeeded"
        if settled
        else "none settled yet"
    )
    held = f"{show.coins(sums.held)} OGPU held for open tasks"
    return [
        Figure("Tasks", f"{sums.tasks:,}", success, _spark(seen, "published", "s-published")),
        Figure("Open now", f"{open_now:,}", f"{sums.responded:,} await confirmation", _open(seen, open_now)),
        Figure("Paid to providers", show.amount(sums.paid), held, _spark(seen, "paid", "s-paid")),
        Figure("First response", _within(half), f"95 % {_within(most)}" if most else "no response yet",
               _spark(seen, "responded", "s-responded")),
        Figure("Providers", f"{sums.providers:,}", f"up to {active:,} active at a time",
               _spark(seen, "active", "s-active")),
        Figure("Sources", f"{sums.active_sources:,}", f"of {sums.sources:,} that were published", Markup("")),
    ]  # fmt: skip


def _within(edges: tuple[int, int | None] | None) -> str:
    if edges is None:
        return "–"
    return f"≤ {show.duration(edges[1])}" if edges[1] is not None else f"> {show.duration(edges[0])}"


def _spark(seen: Activity, name: str, css: str) -> Markup:
    return charts.spark(_of(seen.intervals, name), css, f"{name} over time")


def _open(seen: Activity, now_open: int) -> Markup:
    """Open tasks over time, counted back from now."""
    found = [now_open]
    for each in reversed(seen.intervals):
        found.append(max(found[-1] - each.published + each.finalized + each.canceled + each.expired, 0))
    return charts.spark(found[::-1], "s-attempted", "open tasks over time")


def _share(sums: Totals) -> Markup:
    parts = [
        (name, f"s-{name}", getattr(sums, name))
        for name in ("new", "attempted", "responded", "finalized", "canceled", "expired")
    ]
    return charts.share(parts, "Tasks now: " + ", ".join(f"{number:,} {name}" for name, _, number in parts))


def _tasks(seen: Activity, columns: Columns) -> Markup:
    series = [
        Series(name, f"s-{name}", _of(seen.intervals, name)) for name in ("finalized", "canceled", "expired")
    ]
    published = Series("published", "s-published", _of(seen.intervals, "published"))
    says = ", ".join(f"{sum(each.values):,} {each.name}" for each in (published, *series)) + " in this time"
    return charts.bars("Tasks", says, columns, series, over=published, live="chart-tasks")


def _throughput(seen: Activity, columns: Columns) -> Markup:
    """Responses in a minute, hour or day; of short intervals as they are."""
    unit, name = max((unit, name) for unit, name in SECONDS.items() if unit <= max(seen.width, 60))
    article = "an" if name == "hour" else "a"
    title = "Responses" if seen.width < unit else f"Responses {article} {name}"
    share = min(unit / seen.width, 1)
    each = tuple(value * share for value in _of(seen.intervals, "responded"))
    says = f"{sum(_of(seen.intervals, 'responded')):,} in this time"
    return charts.area(
        title, says, columns, Series(title.lower(), "s-responded", each), live="chart-throughput"
    )


def _spend(seen: Activity, columns: Columns) -> Markup:
    paid = Series("paid", "s-paid", tuple(value / COIN for value in _of(seen.intervals, "paid")))
    total = show.coins(sum(_of(seen.intervals, "paid")))
    return charts.bars(
        "Spend, OGPU",
        f"{total} OGPU paid in this time",
        columns,
        [paid],
        number=_coins,
        whole=False,
        live="chart-spend",
    )


def _coins(value: float) -> str:
    return f"{value:,.4g}"


def _waits(title: str, bins: Sequence[int], what: str, live: str) -> Markup:
    shown = list(filled(bins))
    columns = Columns(
        tuple(name for name, _, _ in shown), tuple(label for _, label, _ in shown), "Took", each=True
    )
    counts = Series(what, "s-responded", tuple(number for _, _, number in shown))
    half = quantile(bins, 0.5)
    says = f"half of them {_within(half)}" if half else "no response in this time"
    return charts.bars(title, says, columns, [counts], live=live)


def _active(seen: Activity, columns: Columns) -> Markup:
    active = Series("active providers", "s-active", _of(seen.intervals, "active"))
    says = f"at most {max(active.values, default=0):,} at a time"
    return charts.bars("Active providers", says, columns, [active], live="chart-active")
