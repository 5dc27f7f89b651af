"""What each role does, from the command line alone, on a real network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Roles
from tests.cli.here import Here

COIN = 10**18
TERMS = ("--name", "A service", "--cpu", "https://example.org/c.yml", "--min-payment", "0.001ogpu")
SOURCE = ("source", "publish", *TERMS, "--max-duration", "1h")


def task_of(source: str, payment: str = "0.01ogpu", text: str = "hello") -> tuple[str, ...]:
    """A publish that asks nobody."""
    data = json.dumps({"text": text})
    what = ("--source", source, "--function", "echo", "--data", data, "--payment", payment)
    return ("task", "publish", *what, "--expires", "30m", "--yes")


@pytest.fixture
def source(roles: Roles, here: Here) -> str:
    return str(here.json(*SOURCE)["source"])


@pytest.fixture
def provider(roles: Roles, here: Here) -> str:
    """A provider that is paired, and has stake for two registrations."""
    assert here.json("provider", "announce", roles.master)["paired"] is False
    announced = here.json("master", "announce", roles.provider, "--stake", "2000ogpu", "--yes")
    assert announced["paired"] is True
    return roles.provider


def test_a_client_from_publishing_to_the_confirmed_bid(
    roles: Roles, here: Here, source: str, provider: str, tmp_path: Path
) -> None:
    registered = here.json("provider", "register", source, "--env", "cpu")
    assert (registered["provider"], registered["from"], registered["environment"]) == (provider,) * 2 + (
        "cpu",
    )
    published = here.json(*task_of(source))
    task = published["task"]
    assert {**published, "expiry_time": 0} == {
        "task": task,
        "source": source,
        "client": roles.client,
        "payment": COIN // 100,
        "expiry_time": 0,
    }
    assert here.json("task", "show", task)["config"] == {"function_name": "echo", "data": {"text": "hello"}}
    here.told("provider", "attempt", task, "--price", "0.009ogpu")
    (tmp_path / "result.json").write_text('{"text": "hello"}')
    answered = here.json("provider", "respond", task, "--price", "0.008ogpu", "--file", "result.json")
    (listed,) = here.json("task", "responses", task)
    assert listed["address"] == answered["response"]
    assert (listed["payment"], listed["status"], listed["provider"]) == (
        8 * COIN // 1000,
        "submitted",
        provider,
    )
    confirmed = here.json("task", "confirm", answered["response"], "--yes")
    assert (confirmed["task"], confirmed["payment"], confirmed["from"]) == (
        task,
        8 * COIN // 1000,
        roles.client,
    )
    shown = here.told("task", "show", task)
    assert "finalized" in shown
    assert f"winner    {provider}" in shown
    assert here.json("vault", "account", provider)["earned"] == 8 * COIN // 1000
