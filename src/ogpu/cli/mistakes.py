"""What is wrong in a file, by line, column and field. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ogpu.errors import InvalidInput


class Mistake(NamedTuple):
    """One thing that is wrong in a file; lines and columns count from 1."""

    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


def refused(name: str, mistakes: Sequence[Mistake]) -> InvalidInput:
    """The error that tells what is wrong in a file."""
    ordered = sorted(mistakes)
    head = f"{name}: one mistake." if len(ordered) == 1 else f"{name}: {len(ordered)} mistakes."
    lines = "\n".join(f"  {name}, {mistake}" for mistake in ordered)
    facts = {"file": name, "mistakes": [mistake._asdict() for mistake in ordered]}
    return InvalidInput(f"{head}\n{lines}", facts=facts)
