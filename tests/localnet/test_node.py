"""How anvil is found, installed, and missed."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import threading
from pathlib import Path

import pytest

from ogpu.localnet.node import ANVIL_VERSION
from tests.localnet.commands import lines, ogpu, running, stop
from tests.support.localnet import wait_until


def program(folder: Path, name: str, text: str) -> Path:
    """A shell script of that name, in a folder that can be a PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """An empty home, and a PATH without npm and anvil."""
    home, path = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    path.mkdir()
    for name in ("sh", "sleep"):
        (path / name).symlink_to(str(shutil.which(name)))
    return {"HOME": str(home), "PATH": str(path), "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}


def cached(home: Path) -> list[Path]:
    return list(home.glob(".cache/ogpu/*"))


def test_without_npm_and_anvil_the_ways_to_get_one_are_told(tmp_path: Path, empty: dict[str, str]) -> None:
    code, said = ogpu(tmp_path, "up", "--network-file", "net.json", variables=empty)
    assert code == 1
    assert lines(said)[0] == "Error: There is no anvil on PATH, and no npm to install one with."
    assert "Node.js" in lines(said)[1]
    assert "Foundry" in lines(said)[1]
    assert len(lines(said)) == 2
    assert not list(tmp_path.glob("net.json*"))


def test_an_npm_that_fails_is_quoted(tmp_path: Path, empty: dict[str, str]) -> None:
    program(tmp_path / "bin", "npm", "echo 'npm error \033[31mE503 no registry' >&2; exit 7")
    code, said = ogpu(tmp_path, "up", "--network-file", "net.json", variables=empty)
    assert code == 1
    assert "npm could not install @foundry-rs/anvil" in said
    assert "E503 no registry" in said
    assert "\x1b" not in said
    assert cached(tmp_path / "home") == []


def test_an_npm_that_is_interrupted_leaves_nothing(tmp_path: Path, empty: dict[str, str]) -> None:
    program(tmp_path / "bin", "npm", "sleep 60 & sleep 60")
    with running(tmp_path, "up", "--network-file", str(tmp_path / "net.json"), variables=empty) as run:
        wait_until(lambda: len(run.named("sleep")) == 2)
        run.signal(signal.SIGTERM)
        assert run.end() == 128 + signal.SIGTERM
        run.assert_clean()
    assert cached(tmp_path / "home") == []


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, empty: dict[str, str]) -> None:
    program(tmp_path / "bin", "npm", "exit 0")
    (tmp_path / "file").write_text("")
    for command in (["up", "--network-file", "net.json"], ["up"], ["demo", "--tasks", "1"]):
        code, said = ogpu(tmp_path, *command, variables={**empty, "HOME": str(tmp_path / "file")})
        assert code == 1
        assert "Error: " in said
        assert str(tmp_path / "file") in said
        assert "Traceback" not in said


@pytest.mark.parametrize("text", ["echo 'I am no anvil'; exit 3", None])
def test_an_anvil_that_is_none(tmp_path: Path, empty: dict[str, str], text: str | None) -> None:
    anvil = program(tmp_path / "bin", "anvil", text or "")
    if text is None:
        anvil.write_bytes(b"\0\0\0")
    code, said = ogpu(tmp_path, "up", "--network-file", "net.json", variables=empty)
    assert code == 1
    assert ("exit code 3. It said: I am no anvil" if text else "cannot be run") in said
    assert "Traceback" not in said


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_two_first_starts_at_once_both_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "anvil").exists()
    )
    npm = str(Path.home() / ".npm")  # what npm has downloaded before
    variables = {"HOME": str(home), "XDG_CACHE_HOME": "", "PATH": path, "npm_config_cache": npm}
    codes: list[int] = []
    said: list[str] = []

    def start(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        options = ("up", "--no-provider", "--network-file", str(folder / "net.json"))
        with running(folder, *options, variables=variables) as run:
            run.until_ready()
            said.append(run.said())
            stop(run)
        codes.append(0)

    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert any(f"Installing anvil {ANVIL_VERSION}" in text for text in said)  # the other may come later
    assert len(cached(home)) == 1
