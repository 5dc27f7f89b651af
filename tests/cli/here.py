"""The command `ogpu` in the test's own process, which saves the time that Python takes to start."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ogpu.cli.main import run

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SENT = "what sends one transaction"


def documented() -> dict[str, set[str]]:
    """The fields of each command's JSON, as the page for programmers has them."""
    found: dict[str, set[str]] = {}
    for names, fields in re.findall(r"^\| (.*?) \| (.*?) \|$", PAGE.partition("## JSON")[2], re.MULTILINE):
        said = set(re.findall(r"`(\w+)`", fields.partition(": each")[0]))
        for name in re.findall(r"`([^`]+)`", names) or [names]:
            found[name] = said
    return found


FIELDS = documented()


def check_fields(arguments: tuple[str, ...], document: Any) -> None:
    """That a document has the fields that are promised, and no others."""
    name = "--dry-run" if "--dry-run" in arguments else " ".join(arguments[:2])
    if name == "--dry-run" and arguments[:2] == ("nonce", "fix"):
        return
    for one in document if isinstance(document, list) else [document]:
        sent = FIELDS[SENT] if "transaction" in one else set()
        assert one.keys() == FIELDS[name] | sent, name


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
            try:
                code = run()
            except SystemExit as ended:  # typer's own, for completion
                code = int(ended.code or 0)
            out, err = self.capture.readouterr()
        return Said(code, out, err)

    def told(self, *arguments: str, **variables: str) -> str:
        """What a command says that succeeds."""
        said = self(*arguments, **variables)
        assert (said.code, said.err) == (0, ""), said
        return said.out

    def json(self, *arguments: str, **variables: str) -> Any:
        """The document of a command that succeeds."""
        document = json.loads(self.told(*arguments, "--json", **variables))
        check_fields(arguments, document)
        return document

    def refused(self, code: int, *arguments: str, **variables: str) -> Any:
        """The error object of a command that fails."""
        said = self(*arguments, "--json", **variables)
        assert (said.code, said.out) == (code, ""), said
        error = json.loads(said.err)["error"]
        assert error["exit_code"] == code
        return error
