"""`ogpu index`: an index is kept until somebody stops it, looked at, checked, and made anew."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ogpu.client import publish_source, publish_task
from ogpu.indexer.place import place_of
from ogpu.localnet.processes import end_with_parent
from ogpu.networks import load_network_file
from tests.cli.here import Here
from tests.support.indexing import index_to_head
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import source_info, task_info

PATIENCE = 30.0  # seconds
NEWEST = "the newest one"


class Running:
    """The command, and what it says on stderr."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ogpu", "index", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=end_with_parent(),
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)

    def said(self, text: str) -> str:
        """Wait for a line with this text."""
        while text not in (line := self._lines.get(timeout=PATIENCE)):
            pass
        return line


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    command = Running(*arguments)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.communicate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where no index is yet."""
    return tmp_path / "index.sqlite3"


@pytest.fixture
def filled(bare: RunningNetwork, database: Path) -> Path:
    """The index of a network with a task."""
    publish_task(task_info(publish_source(source_info())))
    asyncio.run(index_to_head(load_network_file(bare.file), place_of(database)))
    return database


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_kept_with_its_documents_until_a_signal_comes(
    bare: RunningNetwork, database: Path, here: Here, number: signal.Signals
) -> None:
    publish_source(source_info())
    with running("--database", str(database)) as command:
        command.said(NEWEST)
        publish_source(source_info())
        wait_until(lambda: _status(here, database)["counts"]["sources"] == 2, PATIENCE)
        wait_until(lambda: _status(here, database)["documents"].get("kept", 0) >= 1, PATIENCE)
        command.process.send_signal(number)
        assert "The index is at block" in command.said("The index is at block")
        assert command.process.wait(PATIENCE) == 130
    assert here.json("index", "check", "--database", str(database))["differences"] == []


def _status(here: Here, database: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = here.json("index", "status", "--database", str(database))
    return found


def test_only_one_keeps_an_index(bare: RunningNetwork, database: Path) -> None:
    with running("--database", str(database), "--no-documents") as command:
        command.said(NEWEST)
        with running("--database", str(database), "--no-documents") as second:
            assert "Another process writes the index" in second.said("Error")
            assert second.process.wait(PATIENCE) == 1


def test_status_says_how_far_it_is_and_what_is_in_it(bare: RunningNetwork, filled: Path, here: Here) -> None:
    bare.rpc("anvil_mine", "0x3")
    said = here.told("index", "status", "--database", str(filled))
    assert "3 behind" in said
    assert "1 sources, 1 tasks" in said
    found = here.json("index", "status", "--database", str(filled))
    assert (found["behind"], found["chain_head"]) == (3, found["block"] + 3)
    assert found["size"] > 10_000


def test_a_difference_is_said_and_is_the_exit_code(filled: Path, here: Here) -> None:
    assert here.told("index", "check", "--database", str(filled)).endswith(": no difference.\n")
    with sqlite3.connect(filled) as connection:
        ((task,),) = connection.execute("SELECT address FROM tasks").fetchall()
        connection.execute("UPDATE tasks SET status = 3")
    connection.close()
    said = here("index", "check", "--database", str(filled))
    assert said.code == 1
    assert f"tasks {task} status: the index has 3, the chain 0" in said.out
    assert "differences." in said.out


def test_a_rebuild_needs_a_yes_and_gives_the_same_index(filled: Path, here: Here) -> None:
    before = here.json("index", "status", "--database", str(filled))
    assert here.refused(2, "index", "rebuild", "--database", str(filled))["hint"] == "Give --yes to go ahead."
    said = here("index", "rebuild", "--database", str(filled), "--yes", "--no-documents", "--json")
    assert said.code == 0
    after = here.json("index", "status", "--database", str(filled))
    same = ("block", "block_hash", "counts", "first_block")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert here.json("index", "check", "--database", str(filled))["differences"] == []


@pytest.mark.parametrize("name", ["status", "check", "rebuild"])
def test_where_there_is_no_index_that_is_said(
    bare: RunningNetwork, database: Path, here: Here, name: str
) -> None:
    error = here.refused(3, "index", name, "--database", str(database))
    assert str(database) in error["message"]
    assert not database.exists()


def test_the_place_is_that_of_the_variable(bare: RunningNetwork, filled: Path, here: Here) -> None:
    assert here.json("index", "status", OGPU_INDEX=str(filled))["index"] == str(filled)
    error = here.refused(2, "index", "status", OGPU_INDEX="mysql://user:secret-of-mine@host/a")
    assert "secret-of-mine" not in str(error)


def test_options_before_a_command_are_not_lost_in_silence(here: Here, filled: Path) -> None:
    assert "after status" in here.refused(2, "index", "--database", str(filled), "status")["message"]
