"""The command `ogpu` in the test's own process, which saves the time that Python takes to start."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from ogpu.cli.main import run


class Said(NamedTuple):
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str


@dataclass
class Here:
    """Runs commands with a user's variables; there is no terminal."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, **variables: str) -> Said:
        """Run `ogpu` with these arguments."""
        self.capture.readouterr()
        with self.patch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["ogpu", *arguments])
            code = run()
            out, err = self.capture.readouterr()
        return Said(code, out, err)

    def told(self, *arguments: str, **variables: str) -> str:
        """What a command says that succeeds."""
        said = self(*arguments, **variables)
        assert (said.code, said.err) == (0, ""), said
        return said.out

    def json(self, *arguments: str, **variables: str) -> Any:
        """The document of a command that succeeds."""
        return json.loads(self.told(*arguments, "--json", **variables))

    def refused(self, code: int, *arguments: str, **variables: str) -> Any:
        """The error object of a command that fails."""
        said = self(*arguments, "--json", **variables)
        assert (said.code, said.out) == (code, ""), said
        error = json.loads(said.err)["error"]
        assert error["exit_code"] == code
        return error
