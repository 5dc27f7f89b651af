"""What `ogpu up` can be told, and what it refuses."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ogpu.networks import load_network_file
from tests.localnet.commands import Run, document, lines, ogpu, stop, up
from tests.localnet.work import answer, client_of, publish, publish_source
from tests.support.localnet import rpc, wait_until
from tests.support.market import source_info
from tests.support.ports import kept

FIELDS = {
    "name": str,
    "chain_id": int,
    "rpc_urls": list,
    "ws_urls": list,
    "contracts": dict,
    "content": dict,
    "management_url": str,
    "accounts": dict,
    "pid": int,
}
HEAD = (
    "from pydantic import BaseModel\nfrom ogpu.service import expose\nclass M(BaseModel):\n    n: int = 0\n"
)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A network with two providers, in a folder that is not there yet."""
    folder = tmp_path_factory.mktemp("two")
    with up(folder, "--providers", "2", "--as", "mainnet", "--chain-id", "1071", ready=False) as refused:
        assert refused.process.wait(30) == 2
    with up(folder, "--providers", "2", "--as", "mainnet") as run:
        yield run
        stop(run)


def test_the_network_file_holds_what_it_promises(two: Run) -> None:
    found = document(two)
    assert {name: type(value) for name, value in found.items()} == FIELDS
    assert stat.S_IMODE(two.file.stat().st_mode) == 0o600
    assert (found["name"], found["chain_id"], found["pid"]) == ("mainnet", 1071, two.process.pid)
    assert set(found["contracts"]) == {"NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER"}
    assert set(found["content"]) == {"upload_url", "gateway_url"}
    assert {role: len(listed) for role, listed in found["accounts"].items()} == {
        "client": 3,
        "provider": 2,
        "master": 2,
        "agent": 2,
    }
    assert all(
        set(one) == {"address", "private_key"} for listed in found["accounts"].values() for one in listed
    )
    assert rpc(found["rpc_urls"][0], "eth_chainId") == hex(1071)


def test_clients_have_coin_a_balance_and_may_publish(two: Run) -> None:
    network = load_network_file(two.file)
    for account in network.accounts["client"]:
        assert int(rpc(network.rpc_urls[0], "eth_getBalance", account.address, "latest"), 16) > 10**18
    with client_of(two) as client:
        for account in network.accounts["client"]:
            state = client.vault.account(account.address)
            assert state.balance > 10**18
            assert state.eligible


def test_all_listeners_are_on_loopback(two: Run) -> None:
    listening = [
        connection.laddr
        for process in two.processes()
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN and connection.family in (socket.AF_INET, socket.AF_INET6)
    ]
    assert len(listening) == 3
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_two_providers_give_the_same_answer_and_that_is_no_error(two: Run) -> None:
    with client_of(two) as client:
        source = client.publish_source(source_info())
        wait_until(lambda: client.get_source(source).registrant_count == 2)
        others = [publish(client, source, n=n) for n in range(8)]
        task = publish(client, source)
        assert answer(client, task)[1] == {"n": 1}
        two.until_said(f"task {task}: another provider")
        wait_until(lambda: client.get_task(task).attempt_count == 2)
        client.confirm_response(client.get_task_responses(task)[0].address)
        two.until_said(f"task {task} is FINALIZED")
        for other in others:
            two.until_said(f"task {other}: another provider")
    assert not [line for line in lines(two.said()) if "AlreadySubmitted" in line]
    story = [line for line in lines(two.said()) if task in line]
    assert not [line for line in story if "not answered" in line]
    steps = ["published on source", "attempted by", "answered by response", "is FINALIZED"]
    places = [next(i for i, line in enumerate(story) if step in line) for step in steps]
    assert places == sorted(places)
    told = next(place for place, line in enumerate(story) if "echo answered in" in line)
    assert places[2] < told  # a provider's line comes after the events that it speaks of
    assert max(map(len, story)) <= 130


def test_what_goes_wrong_is_shown_and_cannot_touch_the_terminal(two: Run) -> None:
    evil = "\x1b[2J\x07\r\n\u202eliar"
    with client_of(two) as client:
        source = publish_source(client, name=evil)
        task = publish(client, source, evil)
        two.until_said(f"task {task} is not answered: HandlerMissing: No handler is called")
    said = two.said()
    assert not set(said) & set("\x1b\x07\r\u202e")
    keys = [one["private_key"][2:] for listed in document(two)["accounts"].values() for one in listed]
    assert not [key for key in keys if key in said]


def test_without_a_provider_nobody_answers_and_blocks_come_at_their_time(tmp_path: Path) -> None:
    with up(tmp_path, "--no-provider", "--block-time", "0.5", "--chain-id", "4242") as run:
        assert not run.named("keeper")
        assert document(run)["name"] == "local"
        url = document(run)["rpc_urls"][0]
        assert rpc(url, "eth_chainId") == hex(4242)
        first, started = int(rpc(url, "eth_blockNumber"), 16), time.monotonic()
        last = wait_until(lambda: (at := int(rpc(url, "eth_blockNumber"), 16)) >= first + 5 and at)
        took = time.monotonic() - started
        assert took > 1.9
        assert (last - first) / took > 1.2  # a second
        stop(run)


def test_handlers_of_two_files_run_with_a_block_time(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(HEAD + "@expose()\ndef double(m: M) -> M:\n    return M(n=2 * m.n)\n")
    (tmp_path / "two.py").write_text(HEAD + "@expose()\ndef negate(m: M) -> M:\n    return M(n=-m.n)\n")
    arguments = ["--handlers", "one.py", "--handlers", "two.py", "--block-time", "0.2"]
    with up(tmp_path, *arguments) as run, client_of(run) as client:
        run.until_said("1, for double, negate")
        source = publish_source(client)
        tasks = [publish(client, source, name, n=21) for name in ("double", "negate")]
        assert [answer(client, task)[1] for task in tasks] == [{"n": 42}, {"n": -21}]
        stop(run)


BAD_FILES = {
    "a wrong signature": (HEAD + "@expose()\ndef f(m: int) -> M:\n    return M()\n", "f"),
    "a syntax error": ("def f(:\n", "invalid syntax"),
    "an exit": ("import sys\nsys.exit(3)\n", "3"),
    "a hard exit": ("import os\nos._exit(4)\n", "exit code 4"),
    "no handler": ("x = 1\n", "exposes no handler"),
    "an exception": ("raise ValueError('\\x1b[2J boom')\n", "boom"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_handler_file_is_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    text, reason = BAD_FILES[kind]
    (tmp_path / "bad.py").write_text(text)
    code, said = ogpu(tmp_path, "up", "--network-file", "net.json", "--handlers", "bad.py")
    assert code == 1
    assert reason in said
    assert "bad.py" in said
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert lines(said)[-1 if len(lines(said)) == 1 else -2].startswith("Error: "), said
    assert not list(tmp_path.glob("net.json*"))


def test_names_that_clash_are_refused(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(HEAD + "@expose()\ndef f(m: M) -> M:\n    return M()\n")
    code, said = ogpu(tmp_path, "up", "--handlers", "one.py", "--handlers", "two.py", "--network-file", "n")
    assert code == 1
    assert "f" in said
    assert "one.py" in said
    assert "two.py" in said


def test_a_taken_port_is_named_with_its_purpose(tmp_path: Path) -> None:
    with kept(3) as first:
        for port, purpose in enumerate(("node", "content service", "management service"), first):
            with socket.create_server(("127.0.0.1", port)):
                code, said = ogpu(tmp_path, "up", "--network-file", "net.json", "--port", str(first))
            assert code == 1
            assert f"Error: Port {port} on 127.0.0.1, for the {purpose}, cannot be used" in said
            assert len(lines(said)) == 2
    assert not list(tmp_path.glob("net.json*"))


def test_the_ports_are_those_that_were_asked_for(tmp_path: Path) -> None:
    with kept(3) as port, up(tmp_path, "--no-provider", "--port", str(port)) as run:
        found = document(run)
        assert found["rpc_urls"] == [f"http://127.0.0.1:{port}"]
        assert found["content"]["gateway_url"].startswith(f"http://127.0.0.1:{port + 1}/")
        assert found["management_url"] == f"http://127.0.0.1:{port + 2}"
        stop(run)


USAGE = [
    ["up", "--port", "0"],
    ["up", "--port", "65534"],
    ["up", "--port", "web"],
    ["up", "--colour"],
    ["up", "--handlers", "missing.py"],
    ["up", "--handlers", "."],
    ["up", "--providers", "0"],
    ["up", "--block-time", "0"],
    ["up", "--block-time", "nan"],
    ["up", "--chain-id", "-1"],
    ["up", "--as", "moon"],
    ["up", "--as", "testnet", "--chain-id", "5"],
    ["up", "--network-file", "~nobody-of-that-name/net.json"],
    ["down", "please"],
    ["demo", "--input", "missing.txt"],
    ["demo", "--tasks", "0"],
    ["sideways"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    code, said = ogpu(tmp_path, *arguments)
    assert code == 2, said
    assert "Error: " in said
    assert "Traceback" not in said
    assert len(lines(said)) <= 4


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (
        ["--network-file", "file/net.json"],
        ["--network-file", "/proc/net.json"],
        ["--network-file", str(tmp_path)],
        ["--network-file", "net.json", "--state", "file/state"],
        ["--network-file", "file/net.json", "--detach"],
    ):
        code, said = ogpu(tmp_path, "up", "--no-provider", *arguments)
        assert code in (1, 2)
        assert "Error: " in said
        assert "Traceback" not in said
        assert len(lines(said)) <= 2, said


def test_a_missing_folder_of_the_network_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "net.json"
    code, said = ogpu(tmp_path, "up", "--no-provider", "--detach", "--network-file", str(file))
    assert code == 0, said
    assert json.loads(file.read_text())["name"] == "local"
    assert ogpu(tmp_path, "down", "--network-file", str(file))[0] == 0
