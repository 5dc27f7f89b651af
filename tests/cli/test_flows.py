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


def test_a_client_chooses_among_bids(roles: Roles, here: Here, source: str, provider: str) -> None:
    """Another provider's answer is dearer; the first keeps its stake and gets nothing."""
    rival = {"PROVIDER_PRIVATE_KEY": roles.network.key("provider")}
    here.told("provider", "register", source, "--env", "cpu")
    here.told("provider", "register", source, "--env", "cpu", **rival)
    task = here.json(*task_of(source))["task"]
    bids = {}
    for price, variables in (("0.009ogpu", rival), ("0.004ogpu", {})):
        link = f"https://example.org/{price}"
        here.told("provider", "attempt", task, "--price", price, **variables)
        answer = ("provider", "respond", task, "--price", price, "--link", link)
        bids[price] = here.json(*answer, **variables)["response"]
    listed = here.json("task", "responses", task)
    assert [(each["address"], each["data"]) for each in listed] == [
        (bids[price], f"https://example.org/{price}") for price in ("0.009ogpu", "0.004ogpu")
    ]
    assert [line.split()[0] for line in here.told("task", "responses", task).splitlines()[1::3]] == list(
        bids.values()
    )
    before = here.json("vault", "account", roles.client)["balance"]
    here.told("task", "confirm", bids["0.004ogpu"], "--yes")
    assert here.json("vault", "account", roles.client)["balance"] == before + 6 * COIN // 1000
    assert here.json("vault", "account", roles.network.address("provider"))["earned"] == 0
    assert here.refused(1, "task", "confirm", bids["0.009ogpu"], "--yes")["kind"] == "AlreadyFinalized"


def test_under_first_response_the_first_answer_is_paid_in_full(
    roles: Roles, here: Here, provider: str
) -> None:
    source = here.json(*SOURCE, "--delivery", "first_response")["source"]
    here.told("provider", "register", source, "--env", "cpu")
    task = here.json(*task_of(source))["task"]
    here.told("provider", "attempt", task, "--price", "1wei")
    Path("result.json").write_text('{"text": "hello"}')
    answer = ("provider", "respond", task, "--price", "1wei", "--file", "result.json")
    assert here.json(*answer)["payment"] == 1
    result = here.json("task", "result", task)
    assert (result["payment"], result["paid"]) == (1, COIN // 100)
    shown = here.json("task", "show", task)
    assert (shown["status"], shown["winning_provider"]) == ("finalized", provider)
    assert here.json("vault", "account", provider)["earned"] == COIN // 100


def test_the_life_of_money_in_the_vault(roles: Roles, here: Here) -> None:
    me = ("--role", "master", "--yes")
    assert here.json("vault", "account", roles.master)["lockup"] == 0
    before = here.json("vault", "account", "--role", "master")["balance"]
    here.told("vault", "deposit", "3ogpu", *me)
    here.told("vault", "deposit", "1ogpu", "--to", roles.master, "--role", "client", "--yes")
    here.told("vault", "lock", "4ogpu", *me)
    here.told("vault", "unbond", "3ogpu", *me)
    here.told("vault", "cancel-unbonding", *me)
    here.told("vault", "unbond", "2.5ogpu", *me)
    now = here.json("vault", "account", roles.master)
    assert (now["balance"], now["lockup"], now["unbonding"]) == (before, 15 * COIN // 10, 25 * COIN // 10)
    assert "matures in " in here.told("vault", "account", roles.master)
    assert here.refused(1, "vault", "claim", *me)["kind"] == "UnbondingNotElapsed"
    roles.network.rpc("evm_increaseTime", 30 * 86_400)
    roles.network.rpc("evm_mine")
    assert "can be claimed" in here.told("vault", "account", roles.master)
    here.told("vault", "claim", *me)
    here.told("vault", "withdraw", "2ogpu", *me)
    now = here.json("vault", "account", roles.master)
    assert (now["balance"], now["unbonding"]) == (before + COIN // 2, 0)
    assert here.refused(1, "vault", "cancel-unbonding", *me)["kind"] == "NoUnbonding"


def test_what_is_canceled_or_expires_comes_back(roles: Roles, here: Here, source: str) -> None:
    before = here.json("vault", "account", roles.client)["balance"]
    canceled, expired = (here.json(*task_of(source, text=text))["task"] for text in ("a", "b"))
    here.told("task", "cancel", canceled)
    assert here.json("task", "show", canceled)["status"] == "canceled"
    release = ("vault", "release", expired, "--role", "client", "--yes")
    assert here.refused(1, *release)["kind"] == "TaskNotExpired"
    assert here.json("vault", "account", roles.client)["balance"] == before - COIN // 100
    roles.network.rpc("evm_increaseTime", 2400)
    roles.network.rpc("evm_mine")
    assert here.json(*release)["task"] == expired
    assert here.json("vault", "account", roles.client)["balance"] == before
    assert [each["status"] for each in here.json("task", "ls", "--mine")] == ["expired", "canceled"]
    only = here.json("task", "ls", "--client", roles.client, "--status", "canceled", "--status", "new")
    assert [each["address"] for each in only] == [canceled]
    for command in ("wait", "result"):
        assert here.refused(1, "task", command, expired)["kind"] == "TaskExpired"


def test_a_source_is_updated_and_ended(roles: Roles, here: Here, source: str, tmp_path: Path) -> None:
    update = ("source", "update", source, "--min-payment", "0.5ogpu", "--amd", "https://example.org/amd.yml")
    here.told(*update)
    shown = here.json("source", "show", source)
    assert (shown["min_payment"], shown["environments"]) == (COIN // 2, ["cpu", "amd"])
    assert shown["metadata"]["name"] == "A service"
    assert (shown["max_expiry_duration"], shown["metadata"]["cpu"]) == (3600, "https://example.org/c.yml")
    assert here.refused(2, *task_of(source))["kind"] == "PaymentTooLow"
    (tmp_path / "terms.yaml").write_text(
        "name: New\nimages: {cpu: https://example.org/2}\nmin_payment: 1wei\nmax_expiry_duration: 2h\n"
    )
    here.told("source", "update", source, "--file", "terms.yaml")
    assert "name          New\n" in here.told("source", "show", source)
    assert here.json("source", "ls", "--mine", "--metadata")[0]["metadata"]["name"] == "New"
    here.told("source", "inactivate", source, "--yes")
    assert here.refused(1, *update)["kind"] == "SourceInactive"
    assert here.json("source", "ls", "--client", roles.client, "--status", "active") == []
    assert f"{source}  inactive" in here.told("source", "ls")


def test_an_agent_acts_for_a_client_and_for_a_master(
    roles: Roles, here: Here, source: str, provider: str
) -> None:
    assert here("agent", "check", roles.client, roles.agent).code == 1
    assert here.json("agent", "ls") == {"account": roles.client, "agents": []}
    for role in ("client", "master"):
        here.told("agent", "set", roles.agent, "--role", role)
    assert here.json("agent", "check", roles.client, roles.agent)["named"] is True
    for listed in (("agent", "ls"), ("agent", "ls", roles.master), ("master", "agents")):
        assert here.json(*listed)["agents"] == [roles.agent], listed
    task = here.json(*task_of(source))["task"]
    by_agent = ("--role", "agent", "--provider", provider)
    here.told("provider", "register", source, "--env", "cpu", *by_agent)
    here.told("provider", "attempt", task, "--price", "1gwei", *by_agent)
    answer = ("provider", "respond", task, "--price", "1gwei", "--link", "https://example.org/a")
    assert here.refused(1, *answer, "--role", "agent")["kind"] == "NotAttempted"
    response = here.json(*answer)["response"]
    assert here.json("task", "confirm", response, "--role", "agent", "--yes")["from"] == roles.agent
    assert here.json("provider", "unregister", source, "--role", "master")["provider"] == provider
    assert here.json("provider", "show")["sources"] == []
    here.told("agent", "unset", roles.agent, "--role", "client")
    assert here.refused(1, "source", "inactivate", source, "--role", "agent", "--yes")["kind"] == "NotClient"


def test_a_master_keeps_ends_and_directs_its_provider(
    roles: Roles, here: Here, source: str, provider: str
) -> None:
    shown = here.json("master", "show")
    assert (shown["provider"], shown["default_agent_disabled"]) == (provider, False)
    here.told("master", "default-agent", "--refuse")
    assert "default agent  refused" in here.told("master", "show")
    here.told("master", "default-agent", "--take")
    here.told("master", "drop", provider, source)
    here.told("provider", "data", "--base", "two GPUs \x1b[2J")
    here.told("provider", "data", "--live", "idle")
    said = here.told("provider", "show")
    assert "base data   two GPUs \\x1b[2J\n" in said
    assert here.json("provider", "show")["live_data"] == "idle"
    here.told("master", "remove", provider, "--yes")
    assert here.json("provider", "show")["master"] is None
    assert here.json("vault", "account", provider)["lockup"] == 2000 * COIN


def test_nonces_are_told_and_mended(roles: Roles, here: Here, source: str) -> None:
    told = here.json("nonce", "info")
    assert (told["address"], told["has_pending"]) == (roles.client, False)
    assert here.json("nonce", "fix", "--dry-run")["pending_count"] == 0
    assert here.json("nonce", "fix")["next_nonce"] == told["mined_nonce"]
    assert here.json("nonce", "reset", "--role", "client") == {"address": roles.client}
    assert here.json("nonce", "info")["cached_nonce"] is None
