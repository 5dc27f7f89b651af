"""Commands as processes: questions and progress on a terminal, silence without one, and Ctrl+C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
from pathlib import Path

from eth_account import Account

from tests.cli.here import Here
from tests.localnet.commands import Run, lines, running
from tests.support.localnet import RunningNetwork, wait_until

TERMS = ("--name", "Echo", "--cpu", "https://example.org/c.yml", "--min-payment", "0.001ogpu")
SPINNER = re.compile("[\N{BRAILLE PATTERN DOTS-1}-\N{BRAILLE PATTERN DOTS-12345678}]")


def source_of(here: Here) -> str:
    return str(here.json("source", "publish", *TERMS, "--max-duration", "1h")["source"])


def job(source: str, text: str = "hello") -> str:
    """A file with a task, for `--file`."""
    Path("job.yaml").write_text(
        f"source: {source}\nfunction: echo\ndata: {{text: {text}}}\npayment: 0.01ogpu\nexpires_in: 30m\n"
    )
    return "job.yaml"


def plain(text: str) -> str:
    """What a terminal was sent, without what moves its cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def press(run: Run, text: str) -> None:
    os.write(run.terminal, text.encode())


def test_a_question_is_asked_and_a_no_sends_nothing(bare: RunningNetwork, here: Here, tmp_path: Path) -> None:
    source = source_of(here)
    for answer, code, ending in (("n\r", 2, "Nothing was sent."), ("y\r", 0, "waits for its response.")):
        with running(tmp_path, "task", "publish", "--file", job(source), terminal=True) as run:
            run.until_said("Go ahead? [y/N]")
            press(run, answer)
            assert run.end() == code
            said = plain(run.said())
        assert "Publish a task of 'echo' for up to 0.01 OGPU." in said
        assert f"from      {bare.address()}" in said
        assert "gas       at most 0.00" in said
        assert ending in said
        assert len(here.json("task", "ls", "--source", source)) == (code == 0)


def test_ctrl_c_at_the_question_sends_nothing(bare: RunningNetwork, here: Here, tmp_path: Path) -> None:
    with running(tmp_path, "vault", "deposit", "1ogpu", "--role", "client", terminal=True) as run:
        run.until_said("Go ahead? [y/N]")
        press(run, "\x03")
        assert run.end() == 130
        assert "Nothing was sent." in run.said()
    assert here.json("tx", "ls") == []


def test_waiting_shows_progress_on_a_terminal_only_and_ctrl_c_says_how_to_come_back(
    bare: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    task = here.json("task", "publish", "--file", job(source_of(here)), "--yes")["task"]
    with running(tmp_path, "task", "wait", task, terminal=True) as run:
        run.until_said(f"Task {task} is new")
        assert SPINNER.search(run.said())
        press(run, "\x03")
        assert run.end() == 130
        said = lines(plain(run.said()))
    end = said.index("Interrupted. The task goes on.")
    assert said[end + 1] == f"Come back to it: ogpu task wait {task}"
    with running(tmp_path, "task", "run", "--file", "job.yaml", "--yes", "--json", terminal=True) as run:
        wait_until(lambda: len(here.json("task", "ls")) == 2, what="the publish")
        (task,) = {each["address"] for each in here.json("task", "ls")} - {task}
        run.until_said(f"Task {task} is new")
        press(run, "\x03")
        assert run.end() == 130
        (told,) = re.findall(r'^\{"error": .*$', plain(run.said()), re.MULTILINE)
        error = json.loads(told)["error"]
    assert (error["kind"], error["exit_code"]) == ("Interrupted", 130)
    assert error["hint"] == f"Come back to it: ogpu task result {task} --accept first"
    colours = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}  # by which rich takes anything for a terminal
    told_ = here("task", "wait", task, "--timeout", "0s", **colours)
    assert (told_.code, told_.out) == (4, "")
    assert [line.split(" ")[0] for line in lines(told_.err)] == ["Error:", "`ogpu"]


def in_pool(network: RunningNetwork) -> int:
    return int(network.rpc("txpool_status")["pending"], 16)


def test_ctrl_c_while_it_is_sent_says_that_the_journal_has_it(
    held: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    source = source_of(here)
    held.rpc("evm_setAutomine", False)
    command = ("task", "publish", "--file", job(source), "--yes")
    with running(tmp_path, *command) as run:
        wait_until(lambda: in_pool(held) == 1, what="the send")
        run.group(signal.SIGINT)
        assert run.end() == 130
        said = lines(run.said())
    (pending,) = here.json("tx", "ls", "--state", "pending")
    tx_hash = pending["attempts"][-1]["hash"]
    assert said[0].startswith(
        f"Interrupted. {tx_hash} is in the journal, and may be mined yet: `ogpu tx recover`"
    )
    assert said[1] == "The same command goes on with it."
    held.rpc("evm_setAutomine", True)
    held.rpc("evm_mine")
    published = here.json(*command)["task"]
    assert [each["address"] for each in here.json("task", "ls", "--source", source)] == [published]
    assert here.json("tx", "recover") == []


def test_the_same_command_goes_on_however_the_one_before_ended(
    bare: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    source = source_of(here)
    (tmp_path / "items.txt").write_text("one\ntwo\n")
    terms = ("--source", source, "--function", "echo", "--payment", "0.01ogpu", "--expires", "30m")
    command = ("task", "map", "items.txt", *terms)

    def published() -> int:
        return len(here.json("task", "ls", "--source", source))

    with running(tmp_path, *command, "--yes") as run:
        wait_until(lambda: published() == 2, what="the publishes")
        run.signal(signal.SIGKILL)
        run.process.wait(60)
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    with contextlib.ExitStack() as stack:  # all at once, which saves time
        runs = [stack.enter_context(running(tmp_path, *command, "--yes")) for _ in numbers]
        for number, run in zip(numbers, runs, strict=True):
            run.until_said("Goes on with the run that was begun before")
            run.signal(number)
            assert run.end() == 130
            said = lines(run.said())
            assert said[-2] == "Interrupted. 0 of 2 items are done; tasks that are published go on."
            assert said[-1] == f"Go on with the rest: {shlex.join(['ogpu', *command])}"
    going_on = here(*command, "--yes", "--timeout", "0s", "--json")
    assert going_on.code == 1
    told = [json.loads(line) for line in going_on.out.splitlines()]
    assert [(each["item"], each["error"]["kind"]) for each in told] == [
        (0, "WaitTimeout"),
        (1, "WaitTimeout"),
    ]
    assert published() == 2
    new = here(*command, "--yes", "--timeout", "0s", "--again")
    assert re.match("A new run: --once map-[0-9a-f]{16} in place of --again goes on with it.", new.err)
    assert published() == 4
    name = new.err.split()[4]
    assert here(*command, "--yes", "--timeout", "0s", "--once", name).code == 1
    assert published() == 4
    assert here.refused(2, *command, "--yes", "--again", "--once", name)["kind"] == "InvalidInput"


def test_ctrl_c_while_the_cost_is_asked_for_says_that_nothing_was_sent(
    bare: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "silent.json").write_text(json.dumps({**bare.document, "rpc_urls": [url]}))
        silenced = {"OGPU_NETWORK_FILE": "silent.json"}
        command = ("vault", "deposit", "1ogpu", "--role", "client", "--dry-run")
        with running(tmp_path, *command, terminal=True, variables=silenced) as run:
            run.until_said("Asking what it costs")
            press(run, "\x03")
            assert run.end() == 130
            assert "Interrupted. Nothing was sent." in run.said()
            assert "never awaited" not in run.said()


def test_a_password_is_asked_for_once(working: RunningNetwork, here: Here, tmp_path: Path) -> None:
    content = Account.encrypt(bytes.fromhex(working.key()[2:]), "pass", kdf="scrypt", iterations=2)
    (tmp_path / "key.json").write_text(json.dumps(content))
    (tmp_path / "key.json").chmod(0o600)
    with open(job(source_of(here)), "a") as file:
        file.write("extra: {note: this takes two steps}\n")
    command = ("task", "run", "--file", "job.yaml", "--key-from", "key.json", "--yes")
    with running(tmp_path, *command, terminal=True) as run:
        run.until_said("Password: ")  # the space comes once it listens; what is typed before is dropped
        press(run, "pass\r")
        run.until_said('"text": "hello"')
        assert run.end() == 0
        said = plain(run.said())
    assert said.count("Password") == 1
    assert '"text": "hello"' in said


def test_content_commands_no_terminal_and_bytes_are_not_shown_on_one(
    bare: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("first \x1b[2J\nsecond\n")
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    links = [here.told("content", "put", name).strip() for name in ("text", "bytes")]
    with running(tmp_path, "content", "get", links[0], terminal=True) as run:
        assert run.end() == 0
        assert "first \\x1b[2J\nsecond\n" in run.said()
    with running(tmp_path, "content", "get", links[1], terminal=True) as run:
        assert run.end() == 2
        assert "Give --output FILE." in run.said()
    here.told("content", "get", links[1], "--output", "copy")
    assert (tmp_path / "copy").read_bytes() == bytes(range(256))


def test_results_go_where_stdout_goes_though_progress_is_shown(
    working: RunningNetwork, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "items.txt").write_text("one\ntwo\n")
    terms = ("--source", source_of(here), "--function", "echo", "--payment", "0.01ogpu", "--yes")
    for target, progress in (((">", "out"), True), ((), False)):
        with running(tmp_path, "task", "map", "items.txt", *terms, *target, terminal=True) as run:
            assert run.end() == 0
            said = run.said()
        told = (tmp_path / "out").read_text() if target else plain(said)
        assert re.findall(r"^\{.*\}$", told, re.MULTILINE) == ['{"text": "one"}', '{"text": "two"}']
        assert ('{"text"' in said) != progress
        assert SPINNER.search(said)
        assert "0 of 2 items are done" in said
        assert "2 of 2 items have a result." in said


def test_listings_fit_a_terminal_of_80_columns(bare: RunningNetwork, here: Here) -> None:
    task = here.json("task", "publish", "--file", job(source_of(here)), "--yes")["task"]
    for command in (("task", "ls"), ("task", "responses", task), ("source", "ls"), ("task", "show", task)):
        assert max(map(len, here.told(*command).splitlines())) <= 80, command
