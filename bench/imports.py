"""How long `import ogpu.client` and `ogpu --help` take, beside `import web3` on the same machine.

Run: python bench/imports.py [--check]; --check fails when a target is missed. The targets are
0.25 s for the import and 0.4 s for the help on a machine where `import web3` takes 0.6 s, so both
are taken as shares of what web3 takes here.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 7
REFERENCE = 0.6  # seconds for `import web3` on the machine that the targets are given for
TARGETS = {"import ogpu.client": 0.25, "ogpu --help": 0.4}

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import web3": ["-c", "import web3"],
    "import ogpu": ["-c", "import ogpu"],
    "import ogpu.client": ["-c", "import ogpu.client"],
    "ogpu --help": ["-m", "ogpu", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """How long a Python process with these arguments takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure() -> dict[str, float]:
    """The median of each, taken in turns, so that a busy moment falls on all alike."""
    for arguments in COMMANDS.values():  # compiles, and warms the file cache
        seconds(arguments)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare = medians["python -c pass"]
    # An import's own time is without the interpreter's start; a command's is all of it.
    return {name: value - bare if name.startswith("import") else value for name, value in medians.items()}


def main() -> int:
    """Print a table, and one JSON line."""
    medians = measure()
    scale = medians["import web3"] / REFERENCE
    failed = []
    print(f"{'':<20} {'seconds':>8} {'of web3':>8} {'target':>8}")
    for name, value in medians.items():
        target = TARGETS[name] * scale if name in TARGETS else None
        missed = target is not None and value > target
        failed += [name] if missed else []
        shown = "" if target is None else f"{target:8.3f}"
        print(
            f"{name:<20} {value:8.3f} {value / medians['import web3']:8.0%} {shown}"
            + (" missed" if missed else "")
        )
    result = {"bench": "imports", "python": sys.version.split()[0], "rounds": ROUNDS}
    print(json.dumps({**result, "seconds": {name: round(value, 4) for name, value in medians.items()}}))
    if failed and "--check" in sys.argv[1:]:
        print(f"Slower than the target: {', '.join(failed)}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
