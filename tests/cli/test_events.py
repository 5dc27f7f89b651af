"""`ogpu events`: a line an event, for people and programs, until its end or Ctrl+C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from ogpu.client import publish_source, publish_task
from tests.cli.here import FIELDS, Here
from tests.support.localnet import RunningNetwork
from tests.support.market import source_info, task_info
from tests.support.watching import deposit, head

SPAN = ("--from-block", "0", "--to-block")


def test_what_has_happened_is_shown_and_only_what_is_asked_for(bare: RunningNetwork, here: Here) -> None:
    source = publish_source(source_info())
    task, other = publish_task(task_info(source)), publish_source(source_info())
    span = (*SPAN, str(head(bare)))
    lines = here.told("events", "--source", source, *span).splitlines()
    assert [line.split("  ")[2] for line in lines] == ["SourcePublished", "TaskPublished"]
    assert f"task {task}, source {source}" in lines[1]
    wanted = ("--kind", "SourcePublished", "--kind", "TaskPublished")
    said = here.told("events", *wanted, "--source", source, "--source", other, *span).splitlines()
    assert [line.split("  ")[2] for line in said] == ["SourcePublished", "TaskPublished", "SourcePublished"]


def test_programs_get_a_document_a_line(bare: RunningNetwork, here: Here) -> None:
    deposit(bare, 7)
    span = ("--from-block", str(head(bare)), "--to-block", str(head(bare)))
    document = json.loads(here.told("events", "--kind", "VaultMovement", *span, "--json"))
    assert document.keys() == FIELDS["events"]
    assert (document["event"], document["removed"], document["block"]) == ("Deposited", False, head(bare))
    assert document["values"] == {"account": bare.address(), "amount": 7}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--kind", "TaskPublishd"), "no kind of event"),
        (("--kind", "Any"), "no kind of event"),
        (("--source", "0x12"), "is no address"),
        (("--from-block", "5", "--to-block", "4"), "before"),
    ],
)
def test_what_cannot_be_meant_is_a_wrong_use(
    bare: RunningNetwork, here: Here, arguments: tuple[str, ...], says: str
) -> None:
    said = here("events", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_until_a_signal_comes(bare: RunningNetwork, number: signal.Signals) -> None:
    deposit(bare, 1)
    command = subprocess.Popen(
        [sys.executable, "-m", "ogpu", "events", "--json", "--from-block", str(head(bare))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    with command:
        try:
            assert command.stdout is not None
            assert json.loads(command.stdout.readline())["values"]["amount"] == 1
            deposit(bare, 2)
            assert json.loads(command.stdout.readline())["values"]["amount"] == 2
            command.send_signal(number)
            out, err = command.communicate(timeout=30)
            assert (command.returncode, out, err) == (130, "", "")
        finally:
            command.kill()
