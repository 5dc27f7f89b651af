"""What was asked for, and whether it was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What was asked for, and what was measured."""

    name: str
    wanted: str
    measured: str
    met: bool


def show(found: Sequence[Target]) -> None:
    """Asked for, measured, met."""
    for target in found:
        met = "" if target.met else "missed"
        print(f"{target.name:<54} {target.wanted:>20} {target.measured:>12}  {met}".rstrip())
