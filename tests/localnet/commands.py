"""Runs of the real command `ogpu`, with all that they start found by a mark in its environment."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.canaries import keep_secret, look
from tests.support.localnet import keys_in, wait_until

MARK = "OGPU_TEST_RUN"
LIMIT = 60.0


def marked(mark: str) -> list[psutil.Process]:
    """All processes that carry a mark, wherever they hang in the tree; zombies are none."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@dataclass
class Run:
    """A command that was started; what it says goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path
    mark: str
    file: Path
    terminal: int = -1

    @property
    def lock(self) -> Path:
        return self.file.with_name(self.file.name + ".lock")

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def processes(self) -> list[psutil.Process]:
        return marked(self.mark)

    def named(self, name: str) -> list[psutil.Process]:
        """Its processes with a word in their command line."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if name in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def until_ready(self) -> None:
        wait_until(lambda: self.file.exists() or self.process.poll() is not None, LIMIT, "the start")
        assert self.file.exists(), self.said()
        keep_secret(*keys_in(json.loads(self.file.read_text())))

    def until_said(self, text: str) -> None:
        wait_until(lambda: text in self.said(), LIMIT, f"{text!r} in {self.said()!r}")

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def group(self, number: int) -> None:
        """What a terminal does on Ctrl+C: the signal goes to the whole foreground group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Wait for the end; returns the exit code, and checks that nothing is left."""
        code = self.process.wait(LIMIT)
        look(self.said(), "the output of `ogpu`")
        wait_until(lambda: not self.processes(), 10, f"the end of {self.processes()}")
        assert "Traceback" not in self.said(), self.said()
        return code

    def assert_clean(self) -> None:
        """No network file, no lock, no scratch file, and no temporary folder is left."""
        left = [path.name for path in self.file.parent.glob("net.json*") if not path.name.endswith(".log")]
        assert left == []
        assert list((self.file.parent / "tmp").iterdir()) == []


def environment(folder: Path, mark: str) -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, MARK: mark, "TMPDIR": str(temporary)}


@contextlib.contextmanager
def running(
    folder: Path, *arguments: str, terminal: bool = False, variables: dict[str, str] | None = None
) -> Iterator[Run]:
    """`ogpu` with arguments in a process group of its own; whatever is left at the end is killed."""
    mark = uuid.uuid4().hex
    output = folder / f"output-{mark[:6]}.log"
    command = [sys.executable, "-m", "ogpu", *arguments]
    primary, secondary = pty.openpty() if terminal else (-1, -1)
    with output.open("wb") as sink:
        process = subprocess.Popen(
            ["script", "-qfec", "exec " + " ".join(command), str(output)] if terminal else command,
            stdin=secondary if terminal else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if terminal else sink,
            stderr=subprocess.DEVNULL if terminal else subprocess.STDOUT,
            env={**environment(folder, mark), **(variables or {})},
            cwd=folder,
            process_group=0,
        )
    run = Run(process, output, mark, folder / "net.json", primary)
    try:
        yield run
    finally:
        for left in marked(mark):
            with contextlib.suppress(psutil.Error):
                left.kill()
        process.wait(LIMIT)
        for descriptor in (primary, secondary):
            if descriptor >= 0:
                os.close(descriptor)


@contextlib.contextmanager
def up(folder: Path, *arguments: str, ready: bool = True, terminal: bool = False) -> Iterator[Run]:
    """`ogpu up` with its network file in a folder."""
    options = ("up", "--network-file", str(folder / "net.json"), *arguments)
    with running(folder, *options, terminal=terminal) as run:
        if ready:
            run.until_ready()
        yield run


def ogpu(folder: Path, *arguments: str, variables: dict[str, str] | None = None) -> tuple[int, str]:
    """A command that ends by itself: its exit code and all that it said; nothing it started is left."""
    with running(folder, *arguments, variables=variables) as run:
        code = run.process.wait(LIMIT)
        if "--detach" not in arguments:
            wait_until(lambda: not run.processes(), 10, "the end of what it started")
        look(run.said(), "the output of `ogpu`")
        return code, run.said()


def stop(run: Run, number: int = signal.SIGINT) -> None:
    """Stop a network as it should stop."""
    run.signal(number)
    assert run.end() == 0, run.said()
    run.assert_clean()


def document(run: Run) -> dict[str, Any]:
    """The network file."""
    found: dict[str, Any] = json.loads(run.file.read_text())
    return found


def lines(text: str) -> Sequence[str]:
    """What was said, without empty lines."""
    return [line for line in text.splitlines() if line.strip()]
