"""Networks and network files: what is wrong is said with its field, and nothing secret is shown."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ogpu import Client
from ogpu.errors import ConfigurationError, NetworkFileError, UnknownChain, UnknownContract
from ogpu.networks import MAINNET, TESTNET, default_network, load_network_file, network_of, redact

CANARY = "0x" + "c0ffee11" * 8
GOOD: dict[str, Any] = {
    "name": "local",
    "chain_id": 1337,
    "rpc_urls": ["http://127.0.0.1:8545"],
    "ws_urls": ["ws://127.0.0.1:8545"],
    "contracts": dict.fromkeys(("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER"), "0x" + "11" * 20),
    "content": {
        "upload_url": "http://127.0.0.1:8546/file/create",
        "gateway_url": "http://127.0.0.1:8546/ipfs",
    },
    "management_url": "http://127.0.0.1:8547",
    "accounts": {"client": [{"address": "0x" + "22" * 20, "private_key": CANARY}]},
    "pid": 1,
}
MISSING = object()


def write(folder: Path, document: Any) -> Path:
    file = folder / "network.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place: Any = document
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return document


def test_a_good_file(tmp_path: Path) -> None:
    network = load_network_file(write(tmp_path, GOOD))
    assert (network.name, network.chain_id) == ("local", 1337)
    assert network.contract("VAULT") == "0x" + "11" * 20
    assert network.accounts["client"][0].private_key == CANARY


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("name", MISSING, "name"),
        ("name", "", "name"),
        ("name", "a b", "name"),
        ("chain_id", "1337", "chain_id"),
        ("chain_id", 0, "chain_id"),
        ("chain_id", True, "chain_id"),
        ("rpc_urls", [], "rpc_urls"),
        ("rpc_urls", "http://127.0.0.1:1", "rpc_urls"),
        ("rpc_urls", ["ftp://127.0.0.1"], "rpc_urls"),
        ("rpc_urls", ["http://127.0.0.1:99999"], "rpc_urls"),
        ("ws_urls", [], "ws_urls"),
        ("ws_urls", "ws://127.0.0.1:1", "ws_urls"),
        ("ws_urls", ["http://127.0.0.1:1"], "ws_urls"),
        ("ws_urls", ["wss://"], "ws_urls"),
        ("contracts", MISSING, "contracts"),
        ("contracts", [], "contracts"),
        ("contracts.NEXUS", "0x12", "contracts.NEXUS"),
        ("contracts.VAULT", MISSING, "contracts.VAULT"),
        ("content.upload_url", 5, "content.upload_url"),
        ("content.gateway_url", "file:///etc", "content.gateway_url"),
        ("management_url", None, "management_url"),
        ("accounts.client", {}, "accounts.client"),
        ("accounts.client.0.private_key", "0x12", "accounts.client[0].private_key"),
        ("accounts.client.0.address", MISSING, "accounts.client[0].address"),
    ],
)
def test_a_malformed_file_names_the_field(tmp_path: Path, path: str, value: Any, field: str) -> None:
    file = write(tmp_path, changed(path, value))
    with pytest.raises(NetworkFileError) as caught:
        load_network_file(file)
    assert field in str(caught.value)
    assert str(file) in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"a": NaN', "[" * 100_000, '"text"'])
def test_a_file_that_is_no_network_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(NetworkFileError):
        load_network_file(write(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="ogpu up"):
        load_network_file(tmp_path / "nothing.json")
    with pytest.raises(NetworkFileError):
        load_network_file(tmp_path)


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="over"):
        load_network_file(write(tmp_path, " " * 2_000_000))


def test_the_variable_s_network_is_the_default_and_replaces_its_namesake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_network() is TESTNET
    file = write(tmp_path, changed("name", "testnet"))
    monkeypatch.setenv("OGPU_NETWORK_FILE", str(file))
    assert default_network().rpc_urls == ("http://127.0.0.1:8545",)
    assert network_of("testnet").chain_id == 1337
    assert network_of("mainnet") is MAINNET
    assert network_of(1071) is MAINNET


def test_a_dotenv_file_names_the_network_file(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    Path(".env").write_text(f"OGPU_NETWORK_FILE={file}\n")
    assert default_network().name == "local"


def test_a_dotenv_file_that_is_no_text_is_said_and_not_shown() -> None:
    Path(".env").write_bytes(b"CLIENT_PRIVATE_KEY=\xff\xfecanary")
    with pytest.raises(ConfigurationError, match=r"\.env") as caught:
        default_network()
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_not_known_is_said() -> None:
    with pytest.raises(UnknownChain, match="ogpu up"):
        network_of("local")
    with pytest.raises(UnknownChain, match="mainnet, testnet"):
        network_of("mianet")
    with pytest.raises(UnknownContract, match="NEXUS"):
        TESTNET.contract("MANAGER")


def test_nothing_secret_is_in_a_repr(tmp_path: Path) -> None:
    document = changed("rpc_urls", ["https://user:hunter2@node.example/token-abc?key=xyz"])
    document["ws_urls"] = ["wss://user:hunter2@node.example/token-abc?key=xyz"]
    network = load_network_file(write(tmp_path, document))
    for shown in (repr(network), str(network), repr(network.accounts), repr(Client(network))):
        for secret in (CANARY, CANARY[2:], "hunter2", "token-abc", "xyz"):
            assert secret not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host.example:8443/token?k=1#f", "https://host.example:8443"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("https://[::1]:1/x", "https://[::1]:1"),
        ("wss://user:pw@host.example/token", "wss://host.example"),
        ("https://host:notaport/x", "https://host"),
    ],
)
def test_urls_are_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_network_without_a_websocket_has_none(tmp_path: Path) -> None:
    assert load_network_file(write(tmp_path, GOOD)).ws_urls == ("ws://127.0.0.1:8545",)
    assert load_network_file(write(tmp_path, changed("ws_urls", MISSING))).ws_urls == ()
