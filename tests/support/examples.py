"""Runs the examples as their users would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.localnet import RunningNetwork

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 120.0


def run(
    program: Path | str,
    network: RunningNetwork,
    *arguments: str,
    fails: bool = False,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program as a client would, and with these variables besides; gives what it printed."""
    command = [str(program)] if isinstance(program, Path) else ["-c", program]
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        env={
            **os.environ,
            "OGPU_NETWORK_FILE": str(network.file),
            "OGPU_JOURNAL": str(network.file.parent / "journal.sqlite3"),
            "CLIENT_PRIVATE_KEY": network.key(),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode != 0) == fails, f"{command}: {done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


def found(pattern: str, text: str) -> str:
    """The one group of a pattern that must be in the text."""
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in {text!r}"
    return match[1]
