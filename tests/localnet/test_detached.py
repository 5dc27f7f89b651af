"""`ogpu up --detach` and `ogpu down`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ogpu.localnet.files import writer_of
from tests.localnet.commands import environment, lines, marked, ogpu, running, up
from tests.support.localnet import rpc, wait_until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_it_outlives_its_terminal_and_down_stops_it(tmp_path: Path) -> None:
    file, mark = tmp_path / "my net.json", "detached-" + os.urandom(4).hex()
    typed = f"'{sys.executable}' -m ogpu up --no-provider --detach --network-file '{file}'"
    done = subprocess.run(  # `script` gives it a terminal, and closes that at its end
        ["script", "-qfec", typed, str(tmp_path / "typescript")],
        env=environment(tmp_path, mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert f"ogpu down --network-file '{file}'" in done.stdout
    found = json.loads(file.read_text())
    assert rpc(found["rpc_urls"][0], "eth_chainId") == hex(1337)
    assert psutil.pid_exists(found["pid"])
    assert f"process {found['pid']}" in done.stdout
    code, said = ogpu(tmp_path, "up", "--detach", "--network-file", str(file))
    assert (code, len(lines(said))) == (1, 2)
    assert "is up after" in (tmp_path / "my net.json.log").read_text()  # the first one's log is still there
    code, said = ogpu(tmp_path, "down", "--network-file", str(file))
    assert (code, said) == (0, f"The network of {file} (process {found['pid']}) is stopped.\n")
    assert marked(mark) == []
    assert sorted(path.name for path in tmp_path.glob("my net*")) == ["my net.json.log"]
    code, said = ogpu(tmp_path, "down", "--network-file", str(file))
    assert (code, said) == (0, f"No network runs with {file}.\n")


def test_programs_are_told_what_runs_and_what_was_stopped(tmp_path: Path) -> None:
    named = ("--network-file", str(tmp_path / "net.json"), "--json")
    with running(tmp_path, "up", "--no-provider", "--detach", *named) as run:
        assert run.process.wait(60) == 0
        pid = json.loads(run.file.read_text())["pid"]
        expected = {"network_file": named[1], "name": "local", "chain_id": 1337, "process": pid}
        assert json.loads(run.said()) == {**expected, "log": f"{named[1]}.log"}
        for process in (pid, None):
            code, said = ogpu(tmp_path, "down", *named)
            assert code == 0
            assert json.loads(said) == {"network_file": named[1], "process": process, "removed": False}


def test_in_the_foreground_programs_get_one_document_and_events_elsewhere(tmp_path: Path) -> None:
    with running(tmp_path, "up", "--no-provider", "--network-file", "net.json", "--json") as run:
        run.until_ready()
        run.until_said("}\n")
        told = json.loads(lines(run.said())[0])
        run.signal(signal.SIGTERM)
        assert run.end() == 0
    assert (told["process"], told["log"]) == (run.process.pid, None)
    assert told["network_file"] == str(run.file)


def test_down_stops_one_that_runs_in_the_foreground_or_only_starts(tmp_path: Path) -> None:
    with up(tmp_path, "--no-provider", ready=False) as run:
        wait_until(lambda: run.lock.exists() and run.lock.read_text())
        code, said = ogpu(tmp_path, "down", "--network-file", str(run.file))
        assert code == 0, said
        assert run.end() in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
        run.assert_clean()


def test_down_removes_the_file_of_a_dead_network_and_no_stranger_dies(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    with up(tmp_path, "--no-provider") as run:
        run.signal(signal.SIGKILL)
        run.end()
        stale = json.loads(run.file.read_text())
        stale["pid"] = sleeper.pid  # the system gave the number to another process
        run.file.write_text(json.dumps(stale))
        run.lock.write_text(str(sleeper.pid))
        code, said = ogpu(tmp_path, "down", "--network-file", str(run.file))
        assert (code, said) == (
            0,
            f"No network runs with {run.file}. The file was stale and is removed.\n",
        )
        assert sleeper.poll() is None
        assert not run.file.exists()
        assert not run.lock.exists()


def test_down_does_not_believe_a_wrong_process_number(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    with up(tmp_path, "--no-provider") as run:
        right = run.lock.read_text()
        run.lock.write_text(str(sleeper.pid))
        code, said = ogpu(tmp_path, "down", "--network-file", str(run.file))
        assert code == 1
        assert "in a process that cannot be found" in said
        assert sleeper.poll() is None
        run.lock.write_text(right)
        assert ogpu(tmp_path, "down", "--network-file", str(run.file))[0] == 0
        assert run.end() == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"pid": 1}', "", "\0\0", "[" * 100_000])
def test_what_is_no_network_file_is_known(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content)
    assert writer_of(tmp_path / "file") is None


def test_a_file_that_is_no_network_file_is_left_alone(tmp_path: Path) -> None:
    file, content = tmp_path / "README.md", "# A README\n"
    file.write_text(content)
    for arguments in (["down"], ["up"]):
        code, said = ogpu(tmp_path, *arguments, "--network-file", str(file))
        assert (code, len(lines(said))) == (1, 2), said
        assert "no network file of `ogpu up`; it is left as it is." in said
        assert "Traceback" not in said
    assert file.read_text() == content
    assert not (tmp_path / "README.md.lock").exists()


def test_a_start_that_fails_gives_the_reason(tmp_path: Path) -> None:
    file = str(tmp_path / "net.json")
    (tmp_path / "bad.py").write_text("import nothing_of_that_name\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = ogpu(tmp_path, "up", "--detach", "--network-file", file, "--port", str(port))
    assert code == 1
    assert said.startswith(f"Error: The network did not start: Port {port} on 127.0.0.1, for the node,")
    code, said = ogpu(tmp_path, "up", "--detach", "--network-file", file, "--handlers", "bad.py")
    assert code == 1
    assert said.startswith("Error: The network did not start: ")
    assert "No module named 'nothing_of_that_name'" in said
    assert len(lines(said)) == 2
    assert not (tmp_path / "net.json").exists()


def test_an_interrupted_start_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    for number in (signal.SIGINT, signal.SIGTERM):
        with running(tmp_path, "up", "--detach", "--network-file", str(file)) as run:
            wait_until(run.lock.exists)
            run.signal(number)
            assert run.end() == 130
            assert [path.name for path in tmp_path.glob("net.json*")] == ["net.json.log"]
