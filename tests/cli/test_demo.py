"""`ogpu demo` as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ogpu.aio import AsyncClient
from ogpu.demo.work import Outcome, read_texts, run_tasks
from ogpu.errors import InvalidInput
from ogpu.networks import load_network_file
from tests.localnet.commands import lines, marked, ogpu, running, stop, up
from tests.support.localnet import wait_until


def test_json_has_every_task_on_the_last_line(tmp_path: Path) -> None:
    texts = ["I love it.", "\ufeff[red]I hate it[/red] \x1b[2J", "Tabs\tand \N{SNOWMAN}", "x" * 100_000]
    (tmp_path / "in.txt").write_bytes(("\ufeff" + "\r\n".join(texts) + "\r\n\r\n  \n").encode())
    code, said = ogpu(tmp_path, "demo", "--input", "in.txt", "--json")
    assert code == 0, said
    document = json.loads(lines(said)[-1])
    assert [task["text"] for task in document["tasks"]] == [text.strip() for text in texts]
    assert document["verified"] == len(texts)
    assert {task["delivery"] for task in document["tasks"]} == {"MANUAL_CONFIRMATION", "FIRST_RESPONSE"}
    assert document["tasks"][0]["result"]["label"] == "positive"
    assert document["spent"] == 4 * 10**16
    assert {"task", "response", "provider", "link", "price", "seconds"} <= document["tasks"][0].keys()
    assert "4 of 4 tasks done" in said


def on_terminal(tmp_path: Path, columns: int, *arguments: str) -> str:
    """What a terminal of that width gets."""
    typed = f"stty cols {columns} rows 40; '{sys.executable}' -m ogpu demo {' '.join(arguments)}"
    done = subprocess.run(
        ["script", "-qfec", typed, str(tmp_path / "typescript")],
        env={**os.environ, "TERM": "xterm", "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert done.returncode == 0
    return done.stdout.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_there_is_a_bar_and_a_table_that_fits(tmp_path: Path, columns: int) -> None:
    (tmp_path / "in.txt").write_text("A wonderful day \x1b[2J [bold]\n" + "very bad " * 50 + "\n")
    said = on_terminal(tmp_path, columns, "--input", "in.txt")
    assert "2/2" in said
    table = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said[said.index("text ") :]).splitlines()
    assert max(len(line.rstrip()) for line in table) <= columns
    assert "\x1b[2J" not in said
    assert "A wonderful day" in said
    assert "negative -" in said
    assert "2 of 2 tasks gave a result" in said


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    for text in ("Starting a network", "It is up after"):
        with running(tmp_path, "demo", "--tasks", "500") as run:
            run.until_said(text)
            run.group(signal.SIGINT)
            run.group(signal.SIGINT)
            assert run.end() == 130
            assert lines(run.said())[-1] == "Interrupted; the network is stopped."
            wait_until(lambda run=run: marked(run.mark) == [])
            assert list((tmp_path / "tmp").iterdir()) == []


def test_a_dead_node_ends_it_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--tasks", "500") as run:
        run.until_said("It is up after")
        wait_until(lambda: run.named("--chain-id"))
        run.named("--chain-id")[0].kill()
        assert run.end() == 1
        assert "Error: The node (anvil, process" in lines(run.said())[-1]


def test_without_the_extra_it_says_which(tmp_path: Path) -> None:
    program = "import sys; sys.modules['vaderSentiment'] = None; from ogpu.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "pip install 'opengpu[demo]'" in done.stderr
    assert done.stdout == ""


INPUTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no line with text"),
    "blank": (b" \n\r\n\t\n", "no line with text"),
    "binary": (b"\x80\xff\x00", "not UTF-8"),
    "too many lines": (b"a\n" * 10_001, "10001 lines"),
    "too large": (b"a" * (16 * 1024 * 1024 + 1), "16,777,216 bytes"),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    content, reason = INPUTS[kind]
    (tmp_path / "in.txt").write_bytes(content)
    with pytest.raises(InvalidInput, match=reason):
        read_texts(tmp_path / "in.txt", None, 10_000)


def test_a_refused_input_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\xff\xfe")
    code, said = ogpu(tmp_path, "demo", "--input", "in.txt")
    assert (code, len(lines(said))) == (2, 1)
    assert said.startswith("Error: ")


FAILING = """
from pydantic import BaseModel
from ogpu.service import expose
class Text(BaseModel):
    text: str
@expose()
def analyze_sentiment(data: Text) -> Text:
    assert data.text != "bad"
    return data
"""


def test_one_task_that_fails_is_reported_and_the_others_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ogpu.demo.work.WAIT", 3.0)
    (tmp_path / "failing.py").write_text(FAILING)
    done: list[Outcome] = []

    async def work(file: Path) -> tuple[list[Outcome], Any]:
        network = load_network_file(file)
        key = network.accounts["client"][0].private_key
        async with AsyncClient(network, private_key=key) as client:
            return await run_tasks(client, ["good", "bad", "fine"], done.append)

    with up(tmp_path, "--handlers", "failing.py") as run:
        outcomes, _ = asyncio.run(work(run.file))
        stop(run)
    assert [outcome.verified for outcome in outcomes] == [True, False, True]
    assert "WaitTimeout" in str(outcomes[1].error)
    assert len(done) == 3
