"""Whatever ends `ogpu up`, and whenever, nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localnet.commands import Run, document, environment, lines, marked, ogpu, stop, up
from tests.support.localnet import rpc, wait_until

MOMENTS: dict[str, Callable[[Run], object]] = {
    "the lock is taken": lambda run: run.lock.exists(),
    "workers load": lambda run: run.named("keeper"),
    "anvil starts": lambda run: run.named("--chain-id"),
    "it is ready": lambda run: run.file.exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_at_any_moment_leaves_nothing(tmp_path: Path, moment: str) -> None:
    number = (signal.SIGINT, signal.SIGTERM)[list(MOMENTS).index(moment) % 2]
    with up(tmp_path, ready=False) as run:
        wait_until(lambda: MOMENTS[moment](run), 30, moment)
        run.group(number)
        run.group(number)  # an impatient user; the second one must not cut the cleaning up short
        assert run.end() in ((0,) if moment == "it is ready" else (128 + number, -number)), run.said()
        run.assert_clean()


def test_ctrl_c_in_a_terminal_says_so_and_nothing_more(tmp_path: Path) -> None:
    with up(tmp_path, terminal=True) as run:
        run.until_said("Stop it: Ctrl+C")
        os.write(run.terminal, b"\x03")
        assert run.end() == 0
        run.assert_clean()
        after = run.said().partition("Stop it: Ctrl+C")[2]
        assert [line for line in lines(after) if "Stopping." not in line and "Script done" not in line] in (
            [],
            ["^C"],
        )


def test_a_closed_terminal_stops_it(tmp_path: Path) -> None:
    with up(tmp_path) as run:
        stop(run, signal.SIGHUP)


def test_a_reader_that_goes_away_stops_it(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m ogpu up --no-provider --network-file net.json | head -n 0"
    mark = uuid.uuid4().hex
    try:
        done = subprocess.run(
            ["bash", "-c", command + '; exit "${PIPESTATUS[0]}"'],
            cwd=tmp_path,
            env=environment(tmp_path, mark),
            capture_output=True,
            text=True,
            timeout=60,
        )
        wait_until(lambda: not marked(mark))
    finally:
        for left in marked(mark):
            left.kill()
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGTERM)
    assert not list(tmp_path.glob("net.json*"))


def test_kill_9_leaves_no_process_and_the_next_start_works(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with up(tmp_path, "--state", state) as run:
        first = document(run)
        wait_until(lambda: (tmp_path / "state" / "chain.json").exists(), 20, "the chain's first saving")
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL
        assert run.file.exists()
    with up(tmp_path, "--state", state, ready=False) as again:
        again.until_said("is up after")
        second = document(again)
        assert [second[field] for field in ("contracts", "accounts")] == [
            first[field] for field in ("contracts", "accounts")
        ]
        stop(again)


def test_a_killed_node_ends_all_and_is_reported(tmp_path: Path) -> None:
    with up(tmp_path) as run:
        (node,) = [p for p in run.processes() if p.name().startswith("anvil")]
        node.kill()
        assert run.end() == 1
        run.assert_clean()
        last = lines(run.said())[-1]
        assert last.startswith(f"Error: The node (anvil, process {node.pid}) ended while it was needed")
        assert "SIGKILL" in last


def test_a_node_that_hangs_is_killed_in_the_end(tmp_path: Path) -> None:
    with up(tmp_path, "--no-provider") as run:
        (node,) = [p for p in run.processes() if p.name().startswith("anvil")]
        node.suspend()
        stop(run)


def test_a_killed_worker_is_reported_and_replaced(tmp_path: Path) -> None:
    with up(tmp_path) as run:
        before = {process.pid for process in run.named("keeper")}
        for process in run.named("keeper"):
            process.kill()
        run.until_said("ogpu.provider: A handler process ended")
        wait_until(lambda: len({p.pid for p in run.named("keeper")} - before) == len(before), 20)
        stop(run)


def test_a_second_one_on_the_same_file_or_state_is_refused(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with up(tmp_path, "--no-provider", "--state", state) as run:
        before = run.file.read_text()
        code, said = ogpu(tmp_path, "up", "--network-file", str(run.file))
        assert (code, len(lines(said))) == (1, 2)
        assert f"Error: A local network already runs with the network file {run.file}." in said
        code, said = ogpu(tmp_path, "up", "--network-file", str(run.file), "--detach")
        assert code == 1
        assert "already runs with the network file" in said
        code, said = ogpu(tmp_path, "up", "--network-file", str(tmp_path / "x.json"), "--state", state)
        assert code == 1
        assert f"A local network already runs with the state folder {state}" in said
        assert run.file.read_text() == before
        assert not (tmp_path / "x.json").exists()
        assert rpc(document(run)["rpc_urls"][0], "eth_chainId") == hex(1337)
        stop(run)
