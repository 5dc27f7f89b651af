"""The page's charts: they say what the figures say, also where there are none, few or very many."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from ogpu.indexer import tables
from ogpu.web import charts
from ogpu.web.activity import MOST_COLUMNS, activity, filled, quantile, width_for
from ogpu.web.charts import Columns, Series
from ogpu.web.overview import overview_charts
from tests.support import rows

COLUMNS = Columns(("a", "b", "c"), ("a", "c"))


def heights(svg: str, css: str) -> list[float]:
    return [float(found) for found in re.findall(rf'<rect class="{css}"[^>]* height="([0-9.]+)"', svg)]


def test_bars_are_as_high_as_their_values() -> None:
    series = [Series("done", "s-finalized", (2, 0, 4)), Series("lost", "s-expired", (1, 0, 4))]
    svg = charts.bars("Tasks", "few", COLUMNS, series)
    assert heights(svg, "s-finalized") == [28.0, 56.0]  # of 140 for 10
    assert heights(svg, "s-expired") == [14.0, 56.0]
    assert re.findall(r"<title>([^<]*)</title>", svg)[2] == "c\ndone: 4\nlost: 4"


def test_a_table_says_what_a_chart_draws() -> None:
    svg = charts.bars("Tasks", "few", COLUMNS, [Series("done", "s-finalized", (2, 0, 4))])
    table = re.findall(r'<th scope="row">(.)</th><td class="num">(\d)</td>', svg)
    assert table == [("a", "2"), ("c", "4")]


@pytest.mark.parametrize("values", [(), (0,), (0, 0, 0)])
def test_a_chart_of_nothing_says_so(values: tuple[int, ...]) -> None:
    columns = Columns(tuple(map(str, values)), ())
    for svg in (
        charts.bars("Tasks", "none", columns, [Series("done", "s-finalized", values)]),
        charts.area("Tasks", "none", columns, Series("done", "s-finalized", values)),
    ):
        assert "nothing in this time" in svg
        assert "nan" not in svg
        assert "<table>" not in svg


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=80))
def test_nothing_is_drawn_outside(values: list[int]) -> None:
    columns = Columns(tuple(map(str, values)), ("first", "last"))
    svg = charts.bars("Tasks", "some", columns, [Series("done", "s-new", tuple(values))])
    tops = [float(found) for found in re.findall(r'<rect class="s-new"[^>]* y="([0-9.-]+)"', svg)]
    assert all(charts.TOP - 1.6 <= top <= charts.TOP + charts.PLOT for top in tops)
    assert len(tops) == sum(value > 0 for value in values)
    assert "style=" not in svg


@given(st.just(0.0) | st.floats(1e-18, 1e60))
def test_an_axis_ends_above_its_values_and_not_far(highest: float) -> None:
    end = charts.top_of(highest, whole=False)
    assert end >= highest * 0.999999
    assert highest == 0 or end <= highest * 2.001


def test_an_axis_of_counts_has_whole_numbers() -> None:
    for highest in range(1, 2000):
        assert charts.top_of(highest) / 2 == int(charts.top_of(highest) / 2)


@given(st.integers(1, 40 * 365 * 86400))
def test_columns_are_never_too_many(seconds: int) -> None:
    assert seconds / width_for(seconds) <= MOST_COLUMNS


def test_names_of_titles_are_escaped() -> None:
    series = [Series("<b>", "s-new", (1, 2, 3)), Series("x", "s-new", (1, 2, 3))]
    svg = charts.bars("<i>", '"><script>', COLUMNS, series)
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<script" not in svg


def test_half_of_the_waits_are_within_a_bin() -> None:
    bins = [0] * 13
    assert quantile(bins, 0.5) is None
    bins[2], bins[5] = 6, 4
    assert quantile(bins, 0.5) == (2, 5)
    assert quantile(bins, 0.95) == (20, 30)
    assert quantile([0] * 12 + [3], 0.5) == (3600, None)
    assert list(filled(bins))[2] == ("more than 2 s, up to 5 s", "≤ 5 s", 6)


@pytest.fixture
def filling(tmp_path: Path) -> Iterator[Connection]:
    with rows.writing(tmp_path / "index.sqlite3") as connection:
        yield connection


def _buckets(connection: Connection, starts: range, **counts: int) -> None:
    """The same happened in each minute, and the longer intervals have the sums."""
    sums: dict[tuple[int, int], int] = {}
    for start in starts:
        for width in tables.WIDTHS:
            place = width, start - start % width
            sums[place] = sums.get(place, 0) + 1
    connection.execute(
        insert(tables.buckets),
        [
            {"width": width, "start": start, **{name: each * times for name, each in counts.items()},
             "active_providers": 2, "paid": 10**18 * times, "returned": 0,
             "first_response_bins": json.dumps([0, 0, times, *[0] * 10])}
            for (width, start), times in sums.items()
        ],
    )  # fmt: skip
    connection.execute(
        insert(tables.bucket_providers),
        [
            {"width": width, "start": start, "provider": rows.address("provider", number)}
            for width, start in sums
            for number in range(2)
        ],
    )


def test_weeks_are_summed_from_hours_without_a_gap(filling: Connection) -> None:
    first = 1_700_006_400
    end = first + 20 * 86400
    filling.execute(insert(tables.tasks), [rows.task_row(1, published_at=first)])
    _buckets(filling, range(first, end, 600), published=2, finalized=1)
    seen = activity(filling, "all", end)
    assert seen.width == 12 * 3600
    assert [each.start for each in seen.intervals] == list(
        range(seen.intervals[0].start, seen.intervals[-1].start + 1, 12 * 3600)
    )
    assert sum(each.published for each in seen.intervals) == 2 * 20 * 144
    assert sum(each.paid for each in seen.intervals) == 10**18 * 20 * 144
    assert {each.active for each in seen.intervals[1:-2]} == {2}  # and not the sum of the hours
    assert seen.ranges == ("1h", "24h", "7d", "all")
    assert activity(filling, "24h", end).width == 1800
    assert activity(filling, "nonsense", end).range == "7d"


def test_a_network_of_seconds_is_shown_by_seconds(filling: Connection) -> None:
    begin = rows.BEGIN
    made = [
        rows.task_row(at - begin, published_at=at, attempted_at=at, responded_at=at + 1, settled_at=at + 2)
        for at in range(begin, begin + 40, 4)
    ]
    filling.execute(insert(tables.tasks), made)
    seen = activity(filling, "", begin + 10_000)
    assert seen.width == 1
    assert sum(each.published for each in seen.intervals) == 10
    assert sum(each.finalized for each in seen.intervals) == 10
    assert seen.bins()[0] == 10
    assert len(seen.intervals) < MOST_COLUMNS  # and not the hours of silence after it


def test_an_index_without_tasks_has_no_charts_to_draw(filling: Connection) -> None:
    found = overview_charts(filling, "", 1_700_000_000)
    assert found["activity"].intervals == ()
    assert [str(figure.value) for figure in found["figures"]][:2] == ["0", "0"]
