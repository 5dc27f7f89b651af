"""Shell completion: the candidates that each shell is told, and a real bash that takes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Roles
from tests.cli.here import Here

TYPED: dict[str, set[str]] = {
    "ogpu ta": {"task"},
    "ogpu task pub": {"publish"},
    "ogpu task ls --network ": {"mainnet", "testnet", "local"},
    "ogpu vault deposit 1ogpu --network te": {"testnet"},
    "ogpu task ls --status f": {"finalized"},
    "ogpu task ls --status ": {"new", "attempted", "responded", "canceled", "expired", "finalized"},
    "ogpu source ls --status i": {"inactive"},
    "ogpu tx ls --network l": {"local"},
    "ogpu tx ls --state re": {"reverted", "refused"},
    "ogpu vault lock --role ": {"client", "provider", "master", "agent"},
    "ogpu provider register 0x --env n": {"nvidia"},
}


def asked(shell: str, typed: str) -> dict[str, str]:
    """What a shell's completion script puts into the environment."""
    variables = {"_OGPU_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        return {**variables, "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    return {**variables, "_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def candidates(shell: str, said: str) -> set[str]:
    """The candidates without their descriptions."""
    if shell == "zsh":
        inner = said.partition("((")[2].partition("))")[0]
        return {line.strip('"').partition(":")[0].strip('"') for line in inner.splitlines()}
    return {line.partition("\t")[0] for line in said.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_told_the_candidates(roles: Roles, here: Here, shell: str) -> None:
    for typed, expected in TYPED.items():
        assert candidates(shell, here(**asked(shell, typed)).out) == expected, typed


def test_a_broken_network_file_breaks_no_completion(here: Here, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text("{")
    said = here(**asked("bash", "ogpu task ls --network "), OGPU_NETWORK_FILE="net.json")
    assert candidates("bash", said.out) == {"mainnet", "testnet"}
    assert said.err == ""


def test_a_bash_completes_with_what_is_installed(roles: Roles, tmp_path: Path) -> None:
    program = """
        ogpu --install-completion > said && . "$HOME/.bash_completions/ogpu.sh"
        COMP_WORDS=(ogpu task ls --network te) COMP_CWORD=4
        _ogpu_completion ogpu && printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "HOME": str(tmp_path), "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "testnet\n")
    assert "bash completion installed" in (tmp_path / "said").read_text()
