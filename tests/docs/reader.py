"""Somebody who reads a page and does what it says: one folder, one shell, one Python."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import Block, Command, commands_of, matches

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds for one command

# What a command leaves to the next one: its variables and its folder.
EPILOGUE = """
trap '{ code=$?; pwd > "$DOCS_STATE.folder"; env -0 > "$DOCS_STATE"; exit $code; }' EXIT
set -a
"""
SHELL_OWN = {"_", "SHLVL", "code", "DOCS_STATE"}


class Reader:
    """Runs the blocks of a page in order; variables, files and Python names stay from one to the next.

    A Python has the variables that the shell had when it was started, so it is started anew when one
    of them has changed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._state, self._log = folder.parent / "shell-state", folder.parent / "python.log"
        self._environment = dict(environment)
        self._python: subprocess.Popen[str] | None = None
        self._started_with: dict[str, str] = {}  # the variables of the Python

    def close(self) -> None:
        """End the Python of the page."""
        if self._python is not None:
            self._python.communicate(timeout=TIMEOUT)
            self._python = None

    def do(self, page: str, block: Block) -> None:
        """What a reader does with a block: saves it, runs it, or only looks at it."""
        where = f"{page}:{block.line}"
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", encoding="utf-8")
        elif not block.runs:
            pass
        elif block.language == "python":
            self._check(where, block.output, self._run_python(page, block))
        elif block.language == "sh":
            code, out = self._run_shell("set -eu\n" + block.text)
            assert code == 0, f"{where} ended with {code}:\n{out}"
            self._check(where, block.output, out)
        else:
            self._run_console(where, commands_of(block))

    def _check(self, where: str, shown: str | None, printed: str) -> None:
        assert shown is None or matches(shown, printed), f"{where} shows\n{shown}\nbut it is\n{printed}"

    def _run_console(self, where: str, commands: list[Command]) -> None:
        """A command may fail only where the next one asks for its exit code."""
        last = 0
        for command, following in zip(commands, [*commands[1:], None], strict=True):
            code, out = self._run_shell(f"(exit {last})\n{command.text}")
            asked = following is not None and following.text == "echo $?"
            assert code == 0 or asked, f"{where}: {command.text}: ended with {code}:\n{out}"
            self._check(f"{where}: {command.text}:", command.output, out)
            last = code

    def _run_shell(self, text: str) -> tuple[int, str]:
        """Run commands in the page's shell; gives the exit code and what they printed."""
        done = subprocess.run(
            ["bash", "-c", EPILOGUE + text],
            cwd=self.folder,
            env={**self._environment, "DOCS_STATE": str(self._state)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        self.folder = Path(Path(f"{self._state}.folder").read_text().rstrip("\n"))
        variables = (pair.partition("=") for pair in self._state.read_text().split("\0") if pair)
        self._environment = {name: value for name, _, value in variables if name not in SHELL_OWN}
        return done.returncode, done.stdout

    def _run_python(self, page: str, block: Block) -> str:
        """Run a block in the page's Python; gives what it printed."""
        if any(self._environment.get(name) != value for name, value in self._started_with.items()):
            self.close()
        python = self._python or self._start_python()
        assert python.stdin is not None
        assert python.stdout is not None
        order = {"name": page, "text": "\n" * block.line + block.text}
        print(json.dumps(order), file=python.stdin, flush=True)
        answer = python.stdout.readline()
        assert answer, f"{page}:{block.line}:\n{self._log.read_text()}"
        return str(json.loads(answer))

    def _start_python(self) -> subprocess.Popen[str]:
        self._started_with = dict(self._environment)
        with self._log.open("wb") as log:
            self._python = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", "import tests.docs.reader as _; _.serve()"],
                cwd=self.folder,
                env={**self._environment, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._python


def serve() -> None:
    """The page's Python: runs what comes on standard input in the names of `__main__`; an error ends it."""
    names = sys.modules["__main__"].__dict__
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what goes past sys.stdout is not an answer
        for line in sys.stdin:
            order = json.loads(line)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(order["text"], order["name"], "exec"), names)
            print(json.dumps(printed.getvalue()), file=answers, flush=True)
