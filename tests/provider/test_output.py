"""What handlers print reaches the log with its task, bounded, with nothing that a terminal obeys."""

from __future__ import annotations

from typing import Any

from ogpu.provider.output import MAX_LINE, MAX_LINES
from tests.provider.support import TASK, SharedPool


def printed(shared: SharedPool, *tasks: tuple[str, dict[str, Any]]) -> list[str]:
    shared.lines.clear()
    for function, data in tasks:
        shared.run(function, data)
    return shared.lines


def test_each_line_comes_with_its_function_and_task(shared: SharedPool) -> None:
    lines = printed(shared, ("prints", {"number": 2}), ("upper", {}), ("prints", {"number": 1}))
    assert lines == [f"prints {TASK}: line {number}" for number in (0, 1, 0)]


def test_control_characters_long_lines_and_lines_without_end(shared: SharedPool) -> None:
    label = f"prints_oddly {TASK}: "
    lines = [line.removeprefix(label) for line in printed(shared, ("prints_oddly", {}))]
    assert lines == [
        r"\x1b[2J\x07colour\u202e",
        "x" * MAX_LINE + " … (cut)",
        "\ufffd\ufffd broken",
        "50%",
        "100%",
        "no newline at the end",
    ]


def test_a_flood_is_cut_off_and_the_next_task_prints_again(shared: SharedPool) -> None:
    lines = printed(shared, ("prints", {"number": 30_000}), ("prints", {"number": 1}))
    assert len(lines) == MAX_LINES + 2
    assert lines[-3:] == [
        f"prints {TASK}: line {MAX_LINES - 1}",
        f"prints {TASK}: further output is not shown",
        f"prints {TASK}: line 0",
    ]
