"""One publisher is one process: what it is told, what it tells, and running it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ogpu.localnet.processes import end_with_parent
from publish_parts.network import BENCH, MIN_PAYMENT, BenchNetwork

EXPIRY = 12 * 3600  # seconds from now
GRACE = 30.0  # seconds over a publisher's own deadline
SAID = 300  # characters of what a publisher that failed said last


class CannotRun(Exception):
    """A publisher that gave no result, with the reason in one line."""


@dataclass(frozen=True)
class Job:
    """What a publisher is told; it warms up with one task that is not counted."""

    count: int
    key: str = field(repr=False)
    threads: int = 1  # of a peer
    deadline: float = 600.0  # seconds, after which what is not finished is left
    journal: str = ":memory:"


@dataclass(frozen=True)
class Outcome:
    """What a publisher tells: seconds, bytes, and what its calls returned or raised."""

    wall: float
    cpu: float
    requests: int
    rss_before: int
    rss_peak: int
    first_block: int  # the latest one before the counted tasks
    addresses: list[str] = field(repr=False)
    errors: dict[str, int]
    said: str  # the first error's text
    unfinished: int


def run(command: Sequence[str], network: BenchNetwork, job: Job, folder: Path) -> dict[str, Any]:
    """Run a publisher's program to its end; the document that it leaves."""
    told, result = folder / "job.json", folder / "result.json"
    result.unlink(missing_ok=True)
    document = {
        **asdict(job),
        "file": str(network.file),
        "url": network.url,
        "upload_url": network.upload_url,
        "contracts": network.document["contracts"],
        "source": network.source,
        "payment": MIN_PAYMENT,
        "expiry": int(time.time()) + EXPIRY,
        "result": str(result),
    }
    told.touch(mode=0o600)
    told.write_text(json.dumps(document))
    ours = ("OGPU_", "PYTHONPATH")  # a peer must not find this library
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if "-m" in command:
        environment["PYTHONPATH"] = os.pathsep.join([str(BENCH), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*command, str(told)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=end_with_parent(),
    )
    try:
        _, said = process.communicate(timeout=job.deadline + GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CannotRun(f"no result within {job.deadline + GRACE:.0f} s") from None
    if not result.exists():
        lines = said.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise CannotRun(lines[-1][:SAID])
    found: dict[str, Any] = json.loads(result.read_text())
    return found
