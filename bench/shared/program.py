"""Running one participant of a benchmark: a process that is told a job and leaves a result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ogpu.localnet.processes import end_with_parent

BENCH = Path(__file__).parent.parent
SAID = 300  # characters of what a participant that failed said last


class CannotRun(Exception):
    """A participant that gave no result, with the reason in one line."""


def run(command: Sequence[str], job: Mapping[str, Any], folder: Path, timeout: float) -> dict[str, Any]:
    """Run a participant's program to its end; the document that it leaves. `timeout` is in seconds."""
    told, result = folder / "job.json", folder / "result.json"
    result.unlink(missing_ok=True)
    told.touch(mode=0o600)
    told.write_text(json.dumps({**job, "result": str(result)}))
    process = subprocess.Popen(
        [*command, str(told)],
        cwd=folder,
        env=_environment(ours=command[0] == sys.executable),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=end_with_parent(),
    )
    try:
        _, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CannotRun(f"no result within {timeout:.0f} s") from None
    if not result.exists():
        lines = said.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise CannotRun(lines[-1][:SAID])
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _environment(*, ours: bool) -> dict[str, str]:
    """Without our settings; a peer finds this folder, but must not find this library."""
    left = {name: value for name, value in os.environ.items() if not name.startswith(("OGPU_", "PYTHONPATH"))}
    own = os.environ.get("PYTHONPATH", "") if ours else ""
    return {**left, "PYTHONPATH": os.pathsep.join(filter(None, [str(BENCH), own]))}
