"""What commands show: aligned tables and facts for people, documents for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from typing import Any

from ogpu.cli.amounts import period
from ogpu.cli.screen import say

LONGEST_TEXT = 300  # characters of what strangers wrote, on a terminal


def show(lines: Iterable[str]) -> None:
    """Show lines."""
    for line in lines:
        say(line)


def show_json(value: Any) -> None:
    """Show a value as JSON, on one line."""
    say(json.dumps(document(value)))


def json_text(value: Any, indent: int | None = 2) -> str:
    """A value as JSON for people; what could command a terminal is escaped, in JSON's own way."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def document(value: Any) -> Any:
    """A value as JSON has it: fields by their names, members of enumerations by theirs, in lower case."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Flag):
        return [str(member.name).lower() for member in type(value) if member in value]
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(key): document(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [document(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def word(member: Enum) -> str:
    """A member of an enumeration in words: "first response"."""
    return member.name.lower().replace("_", " ")


def words(flags: Flag) -> str:
    """The bits of a set in words: "cpu, nvidia"."""
    return ", ".join(document(flags)) or "none"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """The lines of a table; the columns at the places in `right` end together."""
    from rich.cells import cell_len  # names may be in scripts whose characters are two columns wide

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if place in right else cell + space)
        yield "  ".join(cells).rstrip()


def facts(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and values, the values below each other."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        yield f"{name:<{width}}  {value}".rstrip()


def moment(seconds: float) -> str:
    """A time as people read it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):  # a task's expiry may be a number of 256 bits
        return f"{seconds} s after 1970"


def distance(seconds: float, now: float) -> str:
    """How far a time is from now: "in 2h", "5m ago"."""
    ahead = seconds - now
    if ahead > 10**12:
        return "never"
    return f"in {period(ahead)}" if ahead >= 0 else f"{period(-ahead)} ago"
