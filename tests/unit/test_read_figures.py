"""What the benchmark of reads makes of its figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from read_parts import report, targets
from read_parts.cases import Case
from read_parts.runs import LOOPBACK, OURS, Read, differences, expected_requests

ROWS = [(f"provider {number}", f"answer {number}") for number in range(100)]
HUNDRED = Case("responses", ["task"], ROWS)
OWN = Read(OURS, LOOPBACK, HUNDRED, [0.03, 0.01, 0.02], [0.01], [4, 4, 4], ROWS)
PEER = Read("ogpu 0.2.3", LOOPBACK, HUNDRED, [2.0], [1.0], [1200], ROWS)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, "100"),
        (ROWS[:-1] + ROWS[1:], "198 (98 twice)"),
        ([], "0 (100 missing)"),
        ([*ROWS[1:], ("provider 0", "another")], "100 (1 missing, 1 strange)"),
        (ROWS[::-1], "100 (out of order)"),
    ],
)
def test_no_difference_is_hidden(rows: list[tuple[str, str]], said: str) -> None:
    read = replace(OWN, rows=rows)
    assert differences(read) == said
    (target,) = targets.of_rows([read])
    assert target.met == (said == "100")


def test_a_ratio_is_of_medians() -> None:
    assert report.times([OWN, PEER], PEER) == 100.0


def test_what_was_stopped_is_multiplied_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    thousand = replace(HUNDRED, rows=ROWS * 10)
    stopped = replace(PEER, case=thousand, seconds=[5.0], requests=[3000], rows=[], stopped=True)
    stopped = replace(stopped, expected=expected_requests([OWN, PEER], stopped))
    assert stopped.expected == 12_000
    assert (stopped.wall, stopped.cpu_seconds, stopped.http_requests) == (20.0, 4.0, 12_000)
    report.print_link([OWN, PEER, replace(OWN, case=thousand), stopped], LOOPBACK)
    assert capsys.readouterr().out.splitlines()[-2].split()[-6:] == [
        "0.2.3",
        "~20,000.0",
        "~12,000",
        "~4,000.0",
        "~1,000.0x",
        "stopped",
    ]


def test_a_whole_read_on_another_link_tells_more_than_one_of_fewer_items() -> None:
    ten = replace(PEER, case=replace(HUNDRED, rows=ROWS[:10]), requests=[100])
    stopped = replace(PEER, link="slow", stopped=True, requests=[1])
    assert expected_requests([ten, PEER, stopped], stopped) == 1200
    assert expected_requests([ten, stopped], stopped) == 1000
    assert expected_requests([OWN, stopped], stopped) is None


@pytest.mark.parametrize(("seconds", "met"), [(0.59, False), (0.61, True)])
def test_a_peer_is_beaten_by_as_much_as_was_asked_for(seconds: float, met: bool) -> None:
    (target,) = targets.of_speed([OWN, replace(PEER, seconds=[seconds])], {LOOPBACK: 30.0})
    assert target.met is met


@pytest.mark.parametrize(("requests", "met"), [(12, True), (13, False)])
def test_more_requests_than_were_asked_for_are_a_missed_target(requests: int, met: bool) -> None:
    thousand = replace(OWN, case=replace(HUNDRED, rows=ROWS * 10), requests=[requests])
    warm, new = targets.of_requests([OWN, thousand], requests)
    assert warm.met is new.met is met
