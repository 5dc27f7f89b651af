"""How the benchmarks beside the published packages begin and end: their options, and what they tell."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from shared.program import CannotRun
from shared.targets import Target, show


class Bench(Protocol):
    """One run of the whole, with what it has found."""

    def run(self, folder: Path) -> None:
        """Measure, and print the tables."""

    def targets(self) -> Sequence[Target]:
        """What was asked for, as far as it was measured."""

    def figures(self) -> dict[str, Any]:
        """What was measured, as plain values."""


def progress(text: str) -> None:
    """Say what is done now."""
    print(f"… {text}", file=sys.stderr, flush=True)


def parser(description: str, quick: str) -> argparse.ArgumentParser:
    """The options that each of them has; `quick` says what --quick does."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--check", action="store_true", help="fail when a target is missed")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there too")
    return made


def measured(name: str, bench: Bench, options: argparse.Namespace) -> int:
    """Measure, print the tables, and the same as JSON on the last line; the exit code."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ogpu-bench-") as folder:
        try:
            bench.run(Path(folder))
        except CannotRun as error:  # of ours; a peer's is in the table
            raise SystemExit(f"This library gave no result: {error}") from error
    found = bench.targets()
    show(found)
    load = os.getloadavg()[0]
    print(f"{time.perf_counter() - begin:.0f} s in all, load {load:.1f}")
    document = {
        "bench": name,
        "quick": options.quick,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": load,
        **bench.figures(),
        "targets": [vars(target) for target in found],
    }
    text = json.dumps(document)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)
    return 1 if options.check and not all(target.met for target in found) else 0
