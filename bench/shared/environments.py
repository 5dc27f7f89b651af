"""The published packages, each in a virtual environment of its own, made once in the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ogpu import settings
from shared.program import SAID, CannotRun

DISTRIBUTION = "ogpu"
VERSIONS = ("0.2.3", "0.2.0.14")
INSTALL_TIMEOUT = 600.0


def python_of(version: str) -> Path:
    """The interpreter of a version's environment; `CannotRun` when it cannot be installed."""
    name = f"{DISTRIBUTION}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    folder = settings.cache_folder() / "bench" / name
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"Installing {DISTRIBUTION} {version} into {folder} …", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", f"{DISTRIBUTION}=={version}"])
        ready.touch()
    return python


def _run(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotRun(f"its environment cannot be made: {type(error).__name__}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise CannotRun(f"its environment cannot be made: {lines[-1][:SAID]}")
