"""The command's help and its version."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import ogpu.cli
from ogpu.cli.main import app
from tests.cli.here import FIELDS, SENT
from tests.localnet.commands import ogpu as run_ogpu

HEAVY = ("asyncio", "aiohttp", "eth_account", "web3", "rich.console", "pydantic_core", "orjson", "ssl")


def test_without_arguments_it_shows_its_help(tmp_path: Path) -> None:
    _, alone = run_ogpu(tmp_path)
    code, asked = run_ogpu(tmp_path, "--help")
    assert code == 0
    assert alone == asked
    for command in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"  {command} " in asked
    assert max(map(len, asked.splitlines())) <= 80
    assert "..." not in asked.replace("[ARGS]...", "")


def with_commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, by what is typed after `ogpu`."""
    if names:
        yield names, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from with_commands(inner, *names, name)


def test_each_command_has_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    whole = typer.main.get_command(app)
    every = [names for names, _ in with_commands(whole)]
    assert len(every) > 50
    for names in every:
        assert whole.main([*names, "--help"], "ogpu", standalone_mode=False) == 0, names
        said = capsys.readouterr().out
        assert said.startswith(f"Usage: ogpu {' '.join(names)} "), names
        assert max(map(len, said.splitlines())) <= 80, names


def test_all_promised_options_are_there(tmp_path: Path) -> None:
    _, said = run_ogpu(tmp_path, "up", "--help")
    for option in (
        *("--network-file", "--detach", "--chain-id", "--block-time", "--port", "--providers"),
        *("--handlers", "--as", "--state", "--no-provider"),
    ):
        assert f"  {option} " in said


def test_version(tmp_path: Path) -> None:
    assert run_ogpu(tmp_path, "--version") == (0, f"ogpu {ogpu.__version__}\n")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, contextlib, io\nsys.argv = ['ogpu', '--help']\nfrom ogpu.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    loaded = set(done.stdout.split())
    assert "ogpu.cli.main" in loaded, done.stderr
    assert loaded & set(HEAVY) == set()


def test_a_terminal_without_our_characters_is_no_failure(tmp_path: Path) -> None:
    code, said = run_ogpu(
        tmp_path,
        "up",
        "--network-file",
        "fö…/\N{SNOWMAN}",
        "--port",
        "0",
        variables={"PYTHONIOENCODING": "ascii"},
    )
    assert code == 2
    assert "Traceback" not in said


def test_the_fields_of_every_command_that_speaks_json_are_documented() -> None:
    """That they are the real ones is checked wherever the tests ask for JSON."""
    speaking = {
        " ".join(names): command
        for names, command in with_commands(typer.main.get_command(app))
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(speaking) - {"demo"} == set(FIELDS) - {SENT, "--dry-run", "command"}
    silent = {" ".join(names) for names, _ in with_commands(typer.main.get_command(app))} - set(speaking)
    groups = {
        "source",
        "task",
        "vault",
        "provider",
        "master",
        "agent",
        "nonce",
        "tx",
        "key",
        "content",
        "config",
    }
    assert silent == groups


def test_no_command_outgrows_a_screen() -> None:
    """A long list of options is a group of its own."""
    for path in Path(ogpu.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{path.name}: {node.name}"
