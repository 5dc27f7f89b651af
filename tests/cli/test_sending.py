"""How commands send: agreed to, rehearsed, signed by whom, once; and how what fails is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from eth_account import Account

from ogpu.cli.exits import Exit, exit_of
from ogpu.errors import (
    KeyMissing,
    NotConfirmed,
    RPCUnreachable,
    TaskUnknown,
    TransactionUndetermined,
    WaitTimeout,
)
from tests.cli.conftest import Roles
from tests.cli.here import Here

COIN = 10**18
TERMS = ("--name", "A service", "--cpu", "https://example.org/c.yml", "--min-payment", "0.001ogpu")
SOURCE = ("source", "publish", *TERMS, "--max-duration", "1h")
DEPOSIT = ("vault", "deposit", "1ogpu", "--role", "client")


@pytest.fixture
def source(roles: Roles, here: Here) -> str:
    return str(here.json(*SOURCE)["source"])


def task_of(source: str) -> tuple[str, ...]:
    what = ("--source", source, "--function", "echo", "--data", "{}", "--payment", "0.01ogpu")
    return ("task", "publish", *what, "--expires", "30m")


def test_what_moves_money_is_refused_where_nobody_can_be_asked(roles: Roles, here: Here, source: str) -> None:
    nonce = here.json("nonce", "info")
    for command in (
        DEPOSIT,
        ("vault", "withdraw", "1", "--role", "client"),
        ("vault", "lock", "1", "--role", "client"),
        ("vault", "unbond", "1", "--role", "client"),
        ("vault", "claim", "--role", "client"),
        ("vault", "release", source, "--role", "client"),
        task_of(source),
        ("task", "run", *task_of(source)[2:]),
        ("source", "inactivate", source),
        ("master", "announce", roles.provider, "--stake", "1ogpu"),
        ("master", "remove", roles.provider),
    ):
        error = here.refused(2, *command)
        assert "there is no terminal to ask on" in error["message"], command
        assert "--yes" in error["hint"]
    assert here.json("nonce", "info") == nonce


def test_a_dry_run_says_what_and_sends_nothing(roles: Roles, here: Here, source: str) -> None:
    before = (here.json("nonce", "info"), here.json("tx", "ls"))
    gone = {
        **roles.network.document,
        "content": {"upload_url": "http://127.0.0.1:9", "gateway_url": "http://x"},
    }
    Path("gone.json").write_text(json.dumps(gone))
    expected = {
        (*SOURCE,): ("Nexus.publishSource", 0, 0),
        (*task_of(source),): ("Controller.publishTask", 0, COIN // 100),
        ("task", "run", *task_of(source)[2:]): ("Controller.publishTask", 0, COIN // 100),
        ("source", "update", source, "--file", "s.yaml"): ("Nexus.updateSource", 0, 0),
        ("source", "inactivate", source): ("Nexus.inactivateSource", 0, 0),
        DEPOSIT: ("Vault.deposit", COIN, 0),
        ("agent", "set", roles.agent, "--role", "master"): ("Terminal.setAgent", 0, 0),
        ("master", "announce", roles.provider, "--stake", "2ogpu"): (
            "Terminal.announceProvider",
            2 * COIN,
            0,
        ),
        ("provider", "data", "--live", "x"): ("Terminal.setLiveData", 0, 0),
    }
    Path("s.yaml").write_text("name: n\nimages: {cpu: u}\nmin_payment: 1\nmax_expiry_duration: 1h\n")
    for command, (call, value, payment) in expected.items():
        plan = here.json(*command, "--dry-run", OGPU_NETWORK_FILE="gone.json")
        assert (plan["dry_run"], plan["call"]) == (True, call)
        assert (plan["value"], plan["payment"]) == (value, payment)
        assert plan["total"] == value + payment + plan["gas_cost"]
        assert plan["gas_cost"] > 0
    said = here.told(*DEPOSIT, "--dry-run")
    assert said.startswith("Deposit 1 OGPU into the own Vault balance.\n  call      Vault.deposit at 0x")
    assert f"from      {roles.client}" in said
    assert said.endswith("This was a dry run: nothing was uploaded or sent.\n")
    assert max(map(len, said.splitlines())) <= 80
    assert (here.json("nonce", "info"), here.json("tx", "ls")) == before


def test_a_dry_run_of_what_would_fail_fails(roles: Roles, here: Here) -> None:
    error = here.refused(1, "vault", "lock", "1000000ogpu", "--role", "client", "--dry-run")
    assert error["kind"] == "InsufficientVaultBalance"
    assert re.search(r"`ogpu vault deposit [0-9.]+ogpu --to 0x[0-9a-fA-F]{40}`", error["hint"])


def test_a_name_makes_it_happen_once(roles: Roles, here: Here, source: str) -> None:
    first, second = (here.json(*task_of(source), "--yes", "--once", "invoice 1") for _ in range(2))
    assert first["task"] == second["task"]
    assert len(here.json("task", "ls", "--source", source)) == 1
    assert here.json(*task_of(source), "--dry-run", "--once", "invoice 1")["state"] == "done"
    other = here.refused(1, *task_of(source), "--payment", "0.02ogpu", "--yes", "--once", "invoice 1")
    assert other["kind"] == "IdempotencyConflict"
    one, two = (here.json(*DEPOSIT, "--yes", "--once", "deposit 1")["transaction"] for _ in range(2))
    assert one == two


def test_the_vault_guesses_no_key(roles: Roles, here: Here) -> None:
    error = here.refused(2, "vault", "deposit", "1ogpu", "--yes")
    assert error["kind"] == "KeyMissing"
    assert "--role client, --role provider, --role master, --role agent" in error["hint"]
    error = here.refused(2, "agent", "set", roles.agent)
    assert error["kind"] == "KeyMissing"
    error = here.refused(2, *DEPOSIT, "--yes", CLIENT_PRIVATE_KEY="")
    assert "CLIENT_PRIVATE_KEY is not set" in error["message"]


def test_a_keystore_signs_in_place_of_a_role(roles: Roles, here: Here, tmp_path: Path) -> None:
    content = Account.encrypt(bytes.fromhex(roles.keys["master"][2:]), "pass", kdf="scrypt", iterations=2)
    for name, text in (("key.json", json.dumps(content)), ("password", "pass\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    by = ("--key-from", "key.json", "--password-file", "password")
    sent = here.json("vault", "deposit", "1ogpu", *by, "--yes")
    assert sent["from"] == roles.master
    assert sent.keys() == {
        *("transaction", "from", "block", "block_time", "gas_used", "gas_price", "gas_cost", "amount"),
    }
    error = here.refused(2, "vault", "deposit", "1ogpu", *by, "--role", "client", "--yes")
    assert "--role and --key-from both say who signs" in error["message"]


def test_exit_codes_are_those_of_the_table(roles: Roles, here: Here, source: str) -> None:
    nothing = "0x" + "00" * 19 + "01"
    task = here.json(*task_of(source), "--yes")["task"]
    for code, command in (
        (Exit.NOT_FOUND, ("task", "show", nothing)),
        (Exit.NOT_FOUND, ("task", "wait", source)),
        (Exit.NOT_FOUND, ("source", "show", nothing)),
        (Exit.NOT_YET, ("task", "wait", task, "--timeout", "0s")),
        (Exit.NOT_YET, ("task", "result", task, "--timeout", "0s")),
        (Exit.USAGE, ("task", "show", "0x12")),
        (Exit.USAGE, ("task", "wait", task, "--timeout", "soon")),
        (Exit.USAGE, ("task", "show", task, "--network", "nowhere")),
        (Exit.USAGE, ("task", "show")),
        (Exit.USAGE, ("task", "show", task, "--colour")),
        (Exit.USAGE, ("tasks",)),
        (Exit.NOT_FOUND, ("task", "confirm", task, "--yes")),  # a task is no response
        (Exit.FAILED, ("vault", "claim", "--role", "client", "--yes")),
    ):
        error = here.refused(code, *command)
        assert error["message"], command
        assert error.keys() == {"kind", "message", "hint", "facts", "retryable", "exit_code"}
        assert here(*command).err.strip(), command
    late = here.refused(Exit.NOT_YET, "task", "wait", task, "--timeout", "1s")
    assert late["hint"] == f"`ogpu task explain {task}` says why, `ogpu task wait {task}` waits on."


def test_each_kind_of_error_has_its_exit_code() -> None:
    found = {
        kind: exit_of(kind("m"))
        for kind in (
            NotConfirmed,
            WaitTimeout,
            TransactionUndetermined,
            TaskUnknown,
            KeyMissing,
            RPCUnreachable,
        )
    }
    assert found == {
        NotConfirmed: 4,
        WaitTimeout: 4,
        TransactionUndetermined: 4,
        TaskUnknown: 3,
        KeyMissing: 2,
        RPCUnreachable: 1,
    }


def test_secrets_of_settings_are_never_shown(roles: Roles, here: Here) -> None:
    document = {
        **roles.network.document,
        "rpc_urls": ["http://user:hunter2@127.0.0.1:9/t0ken-path?k=t0ken-q"],
    }
    Path("secret.json").write_text(json.dumps(document))
    key = "0x" + "7e57" * 16
    variables = {"OGPU_NETWORK_FILE": "secret.json", "CLIENT_PRIVATE_KEY": key}
    for command in (
        ("config", "show", "--json"),
        ("config", "networks"),
        ("config", "doctor", "--json"),
        ("task", "ls"),
        (*DEPOSIT, "--yes", "--json"),
        ("task", "show", key),
        ("task", "show", key, "--json"),
    ):
        said = here(*command, **variables)
        assert said.out + said.err
        assert not re.search("7e57|hunter2|t0ken", said.out + said.err), command
        assert "Traceback" not in said.err
