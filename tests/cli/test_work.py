"""Results from the command line: run, map, wait, result and content, with a provider at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ogpu.content import cid_of
from tests.cli.here import Here
from tests.support.localnet import RunningNetwork

COIN = 10**18
TERMS = ("--name", "Echo", "--cpu", "https://example.org/c.yml", "--min-payment", "1gwei")


@pytest.fixture
def source(working: RunningNetwork, here: Here) -> str:
    """A source that the network's provider registers to."""
    return str(here.json("source", "publish", *TERMS, "--max-duration", "1h")["source"])


def asked(source: str, data: str = '{"text": "hello"}') -> tuple[str, ...]:
    """What a task is to do."""
    return ("--source", source, "--function", "echo", "--payment", "0.01ogpu", "--data", data)


def test_run_gives_the_checked_result_and_pays_once(working: RunningNetwork, here: Here, source: str) -> None:
    arguments = ("task", "run", *asked(source), "--yes", "--once", "a run")
    found = here.json(*arguments)
    assert found["result"] == {"text": "hello"}
    assert found["provider"] == working.address("provider")
    assert found["payment"] == found["paid"] <= COIN // 100
    assert here.json(*arguments) == found
    assert json.loads(here.told(*arguments)) == {"text": "hello"}
    assert len(here.json("task", "ls", "--source", source)) == 1
    waited = here.json("task", "wait", found["task"])
    assert (waited["address"], waited["status"], waited["confirmed"]) == (
        found["response"],
        "confirmed",
        True,
    )
    result = ("task", "result", found["task"])
    for more in ((), ("--accept", "first"), ("--accept", "cheapest", "--dry-run")):  # nothing is to be sent
        assert json.loads(here.told(*result, *more, "--json")) == found
    explained = here.json("task", "explain", found["task"])
    assert explained["task"]["status"] == "finalized"
    assert explained["reasons"]
    assert found["task"] in here.told("task", "explain", found["task"])


def test_map_gives_a_line_an_item_and_goes_on_by_its_name(here: Here, source: str, tmp_path: Path) -> None:
    texts = ["one", "two", "\x1b[2J three"]
    (tmp_path / "items.txt").write_text("\n".join(texts) + "\n\n")
    arguments = ("task", "map", "items.txt", "--yes", "--once", "all of them", *asked(source)[:-2])
    said = here.told(*arguments)
    assert [json.loads(line)["text"] for line in said.splitlines()] == texts
    assert "\x1b" not in said
    again = here.told(*arguments, "--json", "--accept", "cheapest", "--bidding", "1s").splitlines()
    assert [json.loads(line) for line in again] == [
        {"item": place, "result": {"text": text}} for place, text in enumerate(texts)
    ]
    assert len(here.json("task", "ls", "--source", source)) == len(texts)


def test_a_response_is_chosen_and_paid_once_that_is_agreed_to(here: Here, source: str) -> None:
    task = here.json("task", "publish", *asked(source), "--yes")["task"]
    here.told("task", "wait", task)
    accept = ("task", "result", task, "--accept", "cheapest")
    assert here.refused(2, *accept)["message"].startswith("Take the cheapest usable response of task 0x")
    plan = here.json(*accept, "--dry-run")
    assert (plan["call"], plan["payment"]) == ("Controller.confirmResponse", 0)
    assert here.json("task", "show", task)["status"] == "responded"
    assert here.refused(4, "task", "result", task, "--timeout", "0s")["kind"] == "WaitTimeout"
    assert here.json(*accept, "--yes")["result"] == {"text": "hello"}


def test_map_tells_which_item_failed_and_stays_within_its_budget(
    here: Here, source: str, tmp_path: Path
) -> None:
    (tmp_path / "items.jsonl").write_text('{"text": "good"}\n{"wrong": 1}\n')
    terms = ("--source", source, "--payment", "0.01ogpu", "--yes", "--json")
    said = here("task", "map", "items.jsonl", "--function", "analyze_sentiment", *terms, "--timeout", "3s")
    first, second = map(json.loads, said.out.splitlines())
    assert (first["item"], first["result"]["label"]) == (0, "positive")
    assert (second["item"], second["error"]["kind"], second["error"]["exit_code"]) == (1, "WaitTimeout", 4)
    assert said.code == 1
    said = here("task", "map", "items.jsonl", "--function", "echo", *terms, "--budget", "0.001ogpu")
    assert (said.code, json.loads(said.err)["error"]["kind"]) == (1, "BudgetExceeded"), said
    assert len(here.json("task", "ls", "--source", source)) == 2


def test_another_attempt_is_allowed_and_tells_its_task(here: Here, source: str) -> None:
    arguments = ("task", "run", *asked(source), "--attempts", "2", "--yes", "--once", "tried")
    found = here.json(*arguments)
    assert found["result"] == {"text": "hello"}
    assert here.json("task", "show", found["task"])["status"] == "finalized"
    assert here.json(*arguments) == found
    assert here.refused(2, *arguments[:-4], "--attempts", "0")["kind"] == "UsageError"
    (listed,) = here.json("task", "ls", "--source", source)
    assert listed["address"] == found["task"]


def test_what_a_run_costs_at_most_has_all_its_transactions(here: Here, source: str, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("one\ntwo\n")
    plan = here.json("task", "run", *asked(source), "--dry-run")
    assert plan["at_most"] == plan["total"] + plan["confirming"]
    assert plan["confirming"] == plan["gas_cost"] > 0
    many = here.json("task", "map", "items.txt", *asked(source)[:-2], "--attempts", "3", "--dry-run")
    assert many["times"] == 6
    assert many["at_most"] == 6 * (many["total"] + many["confirming"])
    only = here.json("task", "publish", *asked(source), "--dry-run")
    assert (only["confirming"], only["at_most"]) == (0, only["total"])
    assert "pay later  at most 0.00" in here.told("task", "run", *asked(source), "--dry-run")


def test_content_is_stored_fetched_and_verified(working: RunningNetwork, here: Here, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"some bytes")
    (tmp_path / "b").write_bytes(b"other bytes")
    stored = here.json("content", "put", "a")
    assert stored["cid"] == str(cid_of(b"some bytes"))
    assert here.json("content", "get", stored["link"], "--output", "c")["size"] == 10
    assert (tmp_path / "c").read_bytes() == b"some bytes"
    assert here.json("content", "verify", stored["cid"])["verified"] is True
    assert here.json("content", "verify", stored["cid"], "a")["verified"] is True
    wrong = here("content", "verify", stored["cid"], "b")
    assert (wrong.code, wrong.out) == (1, f"b is not what {stored['cid']} names.\n")
    assert here.refused(1, "content", "get", str(cid_of(b"nobody has this")), "--output", "d")["retryable"]
    assert not (tmp_path / "d").exists()
