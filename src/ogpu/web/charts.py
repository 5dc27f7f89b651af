"""Charts as SVG, drawn from figures. Pure.

Widths are percents and heights pixels, so a chart fits any column and its letters keep their size. Colours
are CSS classes; what a pointer finds is in `title` elements, which chart.js also shows to the keyboard; the
same figures follow as a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from ogpu.web.html import html

TOP, PLOT, BELOW = 18, 140, 24  # pixels: above the plot, the plot, the labels under it
SPARK = 28
EVEN = (1, 2, 4, 6, 10)  # what an axis may end at, times a power of ten
DAY = 86400


@dataclass(frozen=True)
class Series:
    """Values, one a column, under a name; `css` is the class of their colour."""

    name: str
    css: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Columns:
    """What the columns are: `names` for tooltip and table, `labels` under the axis at even distances."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    heading: str = "Time (UTC)"
    each: bool = False  # a label under each column, not along the axis


Number = Callable[[float], str]


def count(value: float) -> str:
    """A count as a chart says it."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3g}"


def of_time(starts: Sequence[int], width: int) -> Columns:
    """The columns of intervals that begin at these Unix seconds."""
    names = tuple(_span(start, width) for start in starts)
    if not starts:
        return Columns((), ())
    first, last = starts[0], starts[-1] + width
    marks = [first + (last - first) * step // 4 for step in range(5)]
    return Columns(names, tuple(_mark(mark, last - first, width) for mark in marks))


def _span(start: int, width: int) -> str:
    begun, ended = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start + width, UTC)
    day = f"{begun.day} {begun:%b}"
    if width >= DAY:
        last = datetime.fromtimestamp(start + width - DAY, UTC)
        return day if width == DAY else f"{day} – {last.day} {last:%b}"
    clock = "%H:%M:%S" if width < 60 else "%H:%M"
    return f"{day}, {begun:{clock}}–{ended:{clock}}"


def _mark(at: int, span: int, width: int) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if span > 2 * DAY or width >= DAY:
        return f"{when.day} {when:%b}"
    return f"{when:%H:%M:%S}" if span <= 600 else f"{when:%H:%M}"


def top_of(highest: float, *, whole: bool = True) -> float:
    """Where an axis ends: the next number of few digits whose half is one too."""
    if highest <= 0:
        return 2.0 if whole else 1.0
    if whole and highest <= 2:
        return 2.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in EVEN if step * power >= highest * 0.999999)


def bars(
    title: str, says: str, columns: Columns, series: Sequence[Series], *, number: Number = count,
    whole: bool = True, over: Series | None = None, live: str = "",
) -> Markup:  # fmt: skip
    """Bars, stacked when there are several series; `over` is drawn as steps above them."""
    sums = [sum(each.values[place] for each in series) for place in range(len(columns.names))]
    highest = max([*sums, *(over.values if over else ()), 0])
    end = top_of(highest, whole=whole)
    body = [_column(place, len(sums), series, end) for place in range(len(sums))]
    if over and highest:
        body.append(_steps(over, end))
    body = [_lines(), *body, _ticks(end, number), *_labels(columns)]
    every = [*series, over] if over else list(series)
    body += [_target(place, len(sums), name, every, number) for place, name in enumerate(columns.names)]
    if not highest:
        body.append(html('<text class="nothing" x="50%" y="{0}">nothing in this time</text>', TOP + 64))
    return _figure(title, says, body, columns, every, number, live)


def _nothing() -> Markup:
    return html('<text class="nothing" x="50%" y="{0}">nothing in this time</text>', TOP + 64)


def _lines() -> Markup:
    """The axis, and lines at half and full height."""
    line = '<line class="{0}" x1="0" x2="100%" y1="{1}" y2="{1}"/>'
    heights = ((TOP, "grid"), (TOP + PLOT // 2, "grid"), (TOP + PLOT, "base"))
    return Markup("").join(html(line, css, height) for height, css in heights)


def _ticks(end: float, number: Number) -> Markup:
    """What the lines stand for; drawn over the bars, so that they can be read."""
    tick = '<text class="tick" x="0" y="{0}">{1}</text>'
    return html(tick, TOP - 4, number(end)) + html(tick, TOP + PLOT // 2 - 4, number(end / 2))


def _labels(columns: Columns) -> list[Markup]:
    count, last = len(columns.labels), len(columns.labels) - 1
    found = []
    for place, label in enumerate(columns.labels):
        at = (place + 0.5) / count if columns.each else place / max(last, 1)
        anchor = "middle" if columns.each or 0 < place < last else "end" if place else "start"
        found.append(
            html(
                '<text class="tick {0}{1}" x="{2:.2f}%" y="{3}">{4}</text>',
                anchor,
                " odd" if place % 2 else "",
                100 * at,
                TOP + PLOT + 17,
                label,
            )
        )
    return found


def _column(place: int, columns: int, series: Sequence[Series], end: float) -> Markup:
    slot = 100 / columns
    room = 0.76 if columns > 6 else 0.5
    parts, base = [], float(TOP + PLOT)
    for each in series:
        value = each.values[place]
        if value <= 0:
            continue
        height = max(value / end * PLOT, 1.5)
        base -= height
        parts.append(
            html(
                '<rect class="{0}" x="{1:.3f}%" width="{2:.3f}%" y="{3:.1f}" height="{4:.1f}" rx="2"/>',
                each.css,
                slot * place + slot * (1 - room) / 2,
                slot * room,
                base,
                height,
            )
        )
    return Markup("").join(parts)


def _steps(series: Series, end: float) -> Markup:
    """A line that is level over each column."""
    columns = len(series.values)
    points = "".join(
        f"{'M' if place == 0 else 'L'}{place / columns * 100:.3f} {PLOT * (1 - value / end):.1f}"
        f"H{(place + 1) / columns * 100:.3f}"
        for place, value in enumerate(series.values)
    )
    return _stretched(
        html('<path class="line {0}" d="{1}" vector-effect="non-scaling-stroke"/>', series.css, points)
    )


def _stretched(inner: Markup) -> Markup:
    return html(
        '<svg x="0" y="{0}" width="100%" height="{1}" viewBox="0 0 100 {1}" preserveAspectRatio="none">'
        "{2}</svg>",
        TOP,
        PLOT,
        inner,
    )


def _target(place: int, columns: int, name: str, series: Sequence[Series], number: Number) -> Markup:
    """What the pointer and the arrow keys meet, with what it says."""
    slot = 100 / columns
    says = "\n".join([name, *(f"{each.name}: {number(each.values[place])}" for each in series)])
    return html(
        '<rect class="slot" x="{0:.3f}%" width="{1:.3f}%" y="{2}" height="{3}"><title>{4}</title></rect>',
        slot * place,
        slot,
        TOP - 6,
        PLOT + 6,
        says,
    )


def area(
    title: str, says: str, columns: Columns, series: Series, *, number: Number = count, live: str = ""
) -> Markup:
    """One series as a line over a filled area."""
    highest = max([*series.values, 0])
    end = top_of(highest, whole=False)
    body = [_lines(), _ticks(end, number), *_labels(columns)]
    if highest:
        line, under = _curve(series.values, end, PLOT)
        body.append(
            _stretched(
                html(
                    '<path class="area {0}" d="{1}"/><path class="line {0}" d="{2}" '
                    'vector-effect="non-scaling-stroke"/>',
                    series.css,
                    under,
                    line,
                )
            )
        )
    else:
        body.append(html('<text class="nothing" x="50%" y="{0}">nothing in this time</text>', TOP + 64))
    total = len(columns.names)
    body += [_target(place, total, name, [series], number) for place, name in enumerate(columns.names)]
    return _figure(title, says, body, columns, [series], number, live)


def _curve(values: Sequence[float], end: float, height: float) -> tuple[str, str]:
    """A line through the middles of the columns, and the same closed at the bottom, 100 units wide."""
    spread = values if len(values) > 1 else [*values, *values]
    step = 100 / len(spread)
    points = [(step * (place + 0.5), height * (1 - value / end)) for place, value in enumerate(spread)]
    line = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in [(0, points[0][1]), *points, (100, points[-1][1])])
    return line, f"{line}V{height}H0Z"


def spark(values: Sequence[float], css: str, says: str) -> Markup:
    """A line the size of a word."""
    end = max([*values, 0]) or 1
    line, under = _curve(values or [0], end * 1.1, SPARK)
    return html(
        '<svg class="spark" role="img" aria-label="{0}" viewBox="0 0 100 {1}" preserveAspectRatio="none">'
        '<path class="area {2}" d="{3}"/>'
        '<path class="line {2}" d="{4}" vector-effect="non-scaling-stroke"/></svg>',
        says,
        SPARK,
        css,
        under,
        line,
    )


def meter(value: int, most: int, css: str) -> Markup:
    """A bar that is filled to a share; its figures stand beside it."""
    width = 100 * min(value / most, 1) if most else 0
    return html(
        '<svg class="meter" aria-hidden="true"><rect class="rail" width="100%" height="6" rx="3"/>'
        '<rect class="{0}" width="{1:.2f}%" height="6" rx="3"/></svg>',
        css,
        width,
    )


def share(parts: Sequence[tuple[str, str, int]], says: str) -> Markup:
    """One bar that is divided among (name, class, count)."""
    total = sum(number for _, _, number in parts)
    at, found = 0.0, []
    for name, css, number in parts:
        if not number:
            continue
        width = number / total * 100
        found.append(
            html(
                '<rect class="{0}" x="{1:.3f}%" width="{2:.3f}%" y="0" height="14">'
                "<title>{3}: {4:,}</title></rect>",
                css,
                at,
                width,
                name,
                number,
            )
        )
        at += width
    return html(
        '<svg class="share" role="img" aria-label="{0}">{1}</svg>',
        says,
        Markup("").join(found) or Markup('<rect class="none" x="0" width="100%" y="0" height="14"/>'),
    )


def _figure(
    title: str, says: str, body: Sequence[Markup], columns: Columns, series: Sequence[Series], number: Number,
    live: str,
) -> Markup:  # fmt: skip
    names = [html('<li class="{0}">{1}</li>', each.css, each.name) for each in series]
    key = html('<ul class="key" aria-hidden="true">{0}</ul>', Markup("").join(names))
    legend = key if len(series) > 1 else ""
    return html(
        '<figure class="chart" id="{live}" data-live><figcaption><h3>{title}</h3>{legend}</figcaption>'
        '<svg class="plot" role="img" aria-label="{title}: {says}" height="{height}">'
        "<desc>{says}</desc>{body}</svg>{table}</figure>",
        live=live, title=title, legend=legend, says=says, height=TOP + PLOT + BELOW,
        body=Markup("").join(body), table=_table(title, columns, series, number),
    )  # fmt: skip


def _table(title: str, columns: Columns, series: Sequence[Series], number: Number) -> Markup:
    """The figures, from the first column that has any to the last."""
    busy = [place for place in range(len(columns.names)) if any(each.values[place] for each in series)]
    head = Markup("").join(html('<th scope="col" class="num">{0}</th>', each.name) for each in series)
    rows = [
        html(
            '<tr><th scope="row">{0}</th>{1}</tr>',
            columns.names[place],
            Markup("").join(html('<td class="num">{0}</td>', number(each.values[place])) for each in series),
        )
        for place in busy
    ]
    if not rows:
        return Markup("")
    return html(
        '<details><summary>Figures<span class="sr"> of {0}</span></summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures of {0}">'
        '<table><thead><tr><th scope="col">{1}</th>{2}</tr></thead><tbody>{3}</tbody>'
        "</table></div></details>",
        escape(title),
        columns.heading,
        head,
        Markup("").join(rows),
    )
