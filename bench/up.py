"""How long `ogpu up` takes until it is ready, and `ogpu --help`: python bench/up.py [RUNS]."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL = 0.005  # seconds
CASES = {
    "up, until its file is there": ["up"],
    "up --no-provider": ["up", "--no-provider"],
    "up --providers 4": ["up", "--providers", "4"],
}


def started(arguments: list[str]) -> float:
    """Seconds from the command to the network file; the network is stopped then."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.json"
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "ogpu", *arguments, "--network-file", str(file)],
            stdout=subprocess.DEVNULL,
        )
        while not file.exists():
            if process.poll() is not None:
                raise SystemExit(f"it ended with exit code {process.returncode}")
            time.sleep(POLL)
        seconds = time.perf_counter() - begin
        process.send_signal(signal.SIGINT)
        process.wait()
        return seconds


def helped() -> float:
    """Seconds that `ogpu --help` takes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ogpu", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure, print the table, and the same as JSON on the last line."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    started(["up"])  # installs anvil if need be, and warms the caches
    measured = {name: [started(arguments) for _ in range(runs)] for name, arguments in CASES.items()}
    measured["--help"] = [helped() for _ in range(runs)]
    print(f"{'seconds':<30} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in measured.items():
        print(f"{name:<30} {statistics.median(values):>8.2f} {min(values):>8.2f} {max(values):>8.2f}")
    load = os.getloadavg()[0]
    print(json.dumps({"runs": runs, "load": load, "cpus": os.cpu_count(), "seconds": measured}))


if __name__ == "__main__":
    main()
