"""`ogpu config`: what it says of settings is true, and the doctor sees what is wrong and says what to do."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ogpu.networks import MAINNET
from tests.cli.conftest import Roles
from tests.cli.here import Here
from tests.localnet.commands import running

DOCTOR = ("config", "doctor", "--json")


def diagnosis(here: Here, **variables: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """How the doctor ends, and its findings by what was checked."""
    said = here(*DOCTOR, **variables)
    document = json.loads(said.out)
    assert document["ok"] == (said.code == 0)
    return said.code, {each["check"]: each for each in document["findings"]}


def changed(roles: Roles, **changes: Any) -> str:
    """A network file that differs from the running network's."""
    Path("changed.json").write_text(json.dumps({**roles.network.document, **changes}))
    return "changed.json"


@contextmanager
def answering(status: Callable[[], int]) -> Iterator[str]:
    """A service whose answers are only statuses; its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status())
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def failures(found: dict[str, dict[str, Any]]) -> set[str]:
    assert all(each["todo"] for each in found.values() if not each["ok"])
    return {name for name, each in found.items() if not each["ok"]}


def test_a_good_network_is_well(roles: Roles, here: Here) -> None:
    code, found = diagnosis(here)
    assert (code, failures(found)) == (0, set()), found
    url = roles.network.url
    assert list(found) == [
        *(f"{role} key" for role in ("client", "provider", "master", "agent")),
        f"node {url}",
        "clock",
        *(f"contract {name}" for name in ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER")),
        *(f"{role} money" for role in ("client", "provider", "master", "agent")),
        "content store",
        f"gateway {roles.network.document['content']['gateway_url'].removesuffix('/ipfs')}",
        *("management service", "journal"),
    ]
    assert found["agent key"]["seen"] == f"{roles.agent}, from AGENT_PRIVATE_KEY"
    assert " ms" in found[f"node {url}"]["seen"]
    said = here("config", "doctor", "--write")
    assert (said.code, said.out.splitlines()[-1]) == (0, "All is well.")
    assert "content: stored and came back" in said.out


def test_without_a_key_it_says_which_variables_to_set(roles: Roles, here: Here) -> None:
    none = {f"{role.upper()}_PRIVATE_KEY": "" for role in roles.keys}
    code, found = diagnosis(here, **none)
    assert (code, failures(found)) == (1, {"keys"})
    assert "CLIENT_PRIVATE_KEY" in found["keys"]["todo"]
    code, found = diagnosis(here, **{**none, "MASTER_PRIVATE_KEY": "0x7e57"})
    assert failures(found) == {"master key"}
    assert "7e57" not in json.dumps(found)


def test_a_dead_node_and_one_of_another_chain(roles: Roles, here: Here) -> None:
    urls = ["http://127.0.0.1:9", roles.network.url]
    code, found = diagnosis(here, OGPU_NETWORK_FILE=changed(roles, rpc_urls=urls))
    assert (code, failures(found)) == (1, {"node http://127.0.0.1:9"})
    assert found["contract NEXUS"]["ok"]
    code, found = diagnosis(here, OGPU_NETWORK_FILE=changed(roles, chain_id=999))
    assert failures(found) == {f"node {roles.network.url}"}
    assert "999" in found[f"node {roles.network.url}"]["seen"]
    assert "contract NEXUS" not in found


def test_contracts_that_are_not_there_or_others(roles: Roles, here: Here) -> None:
    here_ = roles.network.document["contracts"]
    contracts = {**here_, "NEXUS": MAINNET.contracts["NEXUS"], "VAULT": here_["TERMINAL"]}
    code, found = diagnosis(here, OGPU_NETWORK_FILE=changed(roles, contracts=contracts))
    assert code == 1
    assert {"contract NEXUS", "contract CONTROLLER", "contract VAULT"} <= failures(found)
    assert "there is none at" in found["contract NEXUS"]["seen"]
    assert "is no Vault" in found["contract VAULT"]["seen"]
    assert "another network's" in found["contract CONTROLLER"]["seen"]


def test_services_that_are_away(roles: Roles, here: Here) -> None:
    away = {"upload_url": "http://127.0.0.1:9/up", "gateway_url": "http://127.0.0.1:9/ipfs"}
    file = changed(roles, content=away, management_url="http://127.0.0.1:9")
    code, found = diagnosis(here, OGPU_NETWORK_FILE=file)
    away_ones = {"content store", "gateway http://127.0.0.1:9", "management service"}
    assert (code, failures(found)) == (1, away_ones)
    said = here("config", "doctor", "--write", OGPU_NETWORK_FILE=file)
    assert said.code == 1
    assert "FAIL  content: " in said.out
    assert said.out.splitlines()[-1] == "4 of 20 checks failed."


def test_a_management_service_that_is_not_ready_yet_is_waited_for(roles: Roles, here: Here) -> None:
    statuses = iter([503, 503, 404])
    with answering(lambda: next(statuses, 500)) as url:
        code, found = diagnosis(here, OGPU_NETWORK_FILE=changed(roles, management_url=url))
        assert (code, failures(found)) == (0, set()), found
        code, found = diagnosis(here, OGPU_NETWORK_FILE=changed(roles, management_url=url))
    assert (code, failures(found)) == (1, {"management service"})
    assert "HTTP 500" in found["management service"]["seen"]


def test_a_store_and_gateways_of_ones_own_are_looked_at(roles: Roles, here: Here, tmp_path: Path) -> None:
    code, found = diagnosis(here, OGPU_CONTENT_STORE="kubo:http://user:hunter2@127.0.0.1:9")
    assert (code, failures(found)) == (1, {"content store"})
    assert "OGPU_CONTENT_STORE" in found["content store"]["todo"]
    assert "hunter2" not in json.dumps(found)
    code, found = diagnosis(here, OGPU_CONTENT_GATEWAYS="http://127.0.0.1:9/ipfs")
    assert (code, failures(found)) == (1, {"gateway http://127.0.0.1:9"})
    code, found = diagnosis(here, OGPU_CONTENT_STORE=f"folder:{tmp_path}/content")
    assert (code, found["content store"]["warning"]) == (0, True)
    assert "Providers cannot read it" in found["content store"]["todo"]
    (tmp_path / "file").touch()
    code, found = diagnosis(here, OGPU_CONTENT_STORE=f"folder:{tmp_path}/file")
    assert (code, failures(found)) == (1, {"content store"})
    code, found = diagnosis(here, OGPU_CONTENT_STORE="ftp:somewhere")
    assert (code, failures(found)) == (1, {"content settings"})


def test_a_clock_behind_the_chain(roles: Roles, here: Here) -> None:
    roles.network.rpc("evm_increaseTime", 7200)
    roles.network.rpc("evm_mine")
    code, found = diagnosis(here)
    assert (code, failures(found)) == (1, {"clock"})
    assert "in this machine's future" in found["clock"]["seen"]


def test_an_account_without_coin(roles: Roles, here: Here) -> None:
    roles.network.rpc("anvil_setBalance", roles.agent, "0x0")
    code, found = diagnosis(here)
    assert (code, failures(found)) == (1, {"agent money"})
    assert roles.agent in found["agent money"]["todo"]


def test_a_journal_that_cannot_be_written_or_is_none(roles: Roles, here: Here, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no database, " * 100)
    code, found = diagnosis(here, OGPU_JOURNAL="notes")
    assert (code, failures(found)) == (1, {"journal"})
    here.told("provider", "data", "--live", "x")
    _, found = diagnosis(here)
    assert found["journal"]["seen"].endswith("journal.sqlite3, nothing is open")
    code, found = diagnosis(here, OGPU_JOURNAL="notes/journal.sqlite3")  # below what is no folder
    assert (code, failures(found)) == (1, {"journal"})


def test_settings_are_shown_without_secrets(roles: Roles, here: Here) -> None:
    shown = here.json("config", "show", MASTER_PRIVATE_KEY="", MASTER_KEYSTORE="key.json")
    assert shown["name"] == "local"
    assert shown["chain_id"] == 1337
    assert shown["contracts"] == roles.network.document["contracts"]
    assert shown["keys"] == {
        "client": "CLIENT_PRIVATE_KEY",
        "provider": "PROVIDER_PRIVATE_KEY",
        "master": "MASTER_KEYSTORE",
        "agent": "AGENT_PRIVATE_KEY",
    }
    assert "master key    MASTER_KEYSTORE\n" in here.told(
        "config", "show", MASTER_PRIVATE_KEY="", MASTER_KEYSTORE="k"
    )
    known = here.json("config", "networks")
    assert {each["name"]: each["default"] for each in known} == {
        "mainnet": False,
        "testnet": False,
        "local": True,
    }
    assert here.json("config", "show", "--network", "mainnet")["chain_id"] == 1071


def test_a_shell_takes_the_keys_of_a_local_network_and_of_no_other(roles: Roles, here: Here) -> None:
    keys = {f"{role.upper()}_PRIVATE_KEY": roles.network.key(role) for role in roles.keys}
    found = here.json("config", "env", OGPU_JOURNAL="")
    journal = found["variables"].pop("OGPU_JOURNAL")
    assert found["network"] == "local"
    assert set(found["variables"]) == set(keys)
    assert all(found["variables"][name] == key for name, key in keys.items())
    assert here.json("config", "env", OGPU_JOURNAL=journal)["variables"]["OGPU_JOURNAL"] == journal
    assert "OGPU_JOURNAL" not in here.told("config", "env", OGPU_JOURNAL="mine.sqlite3")
    accounts = roles.network.document["accounts"]
    turned = {**accounts, "client": accounts["client"][::-1]}
    another = here.json("config", "env", OGPU_NETWORK_FILE=changed(roles, accounts=turned), OGPU_JOURNAL="")
    assert another["variables"]["OGPU_JOURNAL"] != journal
    script = 'eval "$1"; test "$CLIENT_PRIVATE_KEY $AGENT_PRIVATE_KEY" = "$2"'
    expected = f"{keys['CLIENT_PRIVATE_KEY']} {keys['AGENT_PRIVATE_KEY']}"
    subprocess.run(["sh", "-c", script, "sh", here.told("config", "env"), expected], check=True, env={})
    for changes, reason in (
        ({"accounts": {}}, "made no accounts"),
        ({"rpc_urls": ["https://example.org/rpc"]}, "has its node at https://example.org"),
        ({"rpc_urls": [roles.network.url, "http://10.0.0.1"], "accounts": accounts}, "http://10.0.0.1"),
    ):
        error = here.refused(2, "config", "env", OGPU_NETWORK_FILE=changed(roles, **changes))
        assert reason in error["message"]
    assert "is not set" in here.refused(2, "config", "env", OGPU_NETWORK_FILE="")["message"]


def test_keys_are_not_printed_on_a_terminal(roles: Roles, tmp_path: Path) -> None:
    with running(tmp_path, "config", "env", terminal=True) as run:
        assert run.end() == 2
        assert 'eval "$(ogpu config env)"' in run.said()


def test_a_network_file_that_is_broken_is_told(roles: Roles, here: Here) -> None:
    Path("broken.json").write_text("{")
    for command in (("config", "show"), ("config", "networks"), ("config", "doctor"), ("task", "ls")):
        error = here.refused(2, *command, OGPU_NETWORK_FILE="broken.json")
        assert error["kind"] == "NetworkFileError"
