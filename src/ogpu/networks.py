"""Networks as data: the built-in ones, and network files that add or replace one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ogpu import settings
from ogpu.errors import NetworkFileError, UnknownChain, UnknownContract
from ogpu.safejson import parse_json
from ogpu.text import shown

MAX_FILE_BYTES = 1 << 20
CONTRACT_NAMES = ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER")
REQUIRED_CONTRACTS = ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT")
ROLES = ("client", "provider", "master", "agent")
LOCAL_CHAIN_ID = 1337
HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class NetworkAccount:
    """An account that a local network made; its key opens nothing elsewhere."""

    address: str
    private_key: str = field(repr=False)


@dataclass(frozen=True)
class Network:
    """Where a network is: chain id, node URLs, contract addresses, content and management services."""

    name: str
    chain_id: int
    rpc_urls: tuple[str, ...] = field(repr=False)  # may hold tokens
    contracts: Mapping[str, str] = field(hash=False)
    upload_url: str = field(repr=False)
    gateway_url: str = field(repr=False)
    management_url: str = field(repr=False)
    accounts: Mapping[str, tuple[NetworkAccount, ...]] = field(default_factory=dict, repr=False, hash=False)
    ws_urls: tuple[str, ...] = field(default=(), repr=False)  # WebSocket, to hear of new blocks sooner

    def contract(self, name: str) -> str:
        """The address of a contract by its name, such as "NEXUS"."""
        if not isinstance(name, str) or name not in self.contracts:
            known = ", ".join(self.contracts)
            raise UnknownContract(
                f"Network {shown(self.name)} names no contract {shown(name)}.", hint=f"It names: {known}."
            )
        return self.contracts[name]


MAINNET = Network(
    name="mainnet",
    chain_id=1071,
    rpc_urls=("https://mainnet-rpc.ogpuscan.io",),
    contracts={
        "NEXUS": "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1",
        "CONTROLLER": "0x8661F4B9c30e07A04d795A192478dfD905625a1D",
        "TERMINAL": "0xaEBC7b712D38Fc4d841f0732c21B8774339869D3",
        "VAULT": "0xa5c582254AA313528898311362bc698b041580cC",
    },
    upload_url="https://capi.ogpuscan.io/file/create",
    gateway_url="https://cipfs.ogpuscan.io/ipfs",
    management_url="https://management-backend.opengpu.network",
)

TESTNET = Network(
    name="testnet",
    chain_id=200820172034,
    rpc_urls=("https://testnetrpc.ogpuscan.io",),
    contracts={
        "NEXUS": "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1",
        "CONTROLLER": "0x9fb6022074Fd7Bdb429de0776eb693cA0CB55E09",
        "TERMINAL": "0x1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52",
        "VAULT": "0x15905a2FbD3EF5d3532b931b5656BB9EB493Bb15",
    },
    upload_url=MAINNET.upload_url,
    gateway_url=MAINNET.gateway_url,
    management_url=MAINNET.management_url,
)

PUBLIC_NETWORKS = {network.name: network for network in (MAINNET, TESTNET)}


def redact(url: str) -> str:
    """A URL without what may be secret: credentials, path, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a malformed URL)"
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}"


def known_networks() -> dict[str, Network]:
    """The networks by name: the built-in ones, and the one of `OGPU_NETWORK_FILE` in its place.

    The local network has no fixed addresses, so "local" is there only when a file defines it.
    """
    networks = dict(PUBLIC_NETWORKS)
    if path := settings.network_file():
        network = load_network_file(path)
        networks[network.name] = network
    return networks


def default_network() -> Network:
    """The network file's network when there is one, else the testnet."""
    if path := settings.network_file():
        return load_network_file(path)
    return TESTNET


def network_of(name_or_id: str | int) -> Network:
    """The network of that name or chain id."""
    networks = known_networks()
    for network in networks.values():
        if isinstance(name_or_id, str | int) and name_or_id in (network.name, network.chain_id):
            return network
    hint = f"Known: {', '.join(networks)}."
    if isinstance(name_or_id, str) and name_or_id == "local":
        hint = f"Start it with `ogpu up`, and set {settings.NETWORK_FILE} to its network file."
    raise UnknownChain(f"No network {shown(name_or_id)} is known.", hint=hint)


def resolve_network(network: Network | str | int | None) -> Network:
    """A network from a value, a name, a chain id, or nothing for the default one."""
    if network is None:
        return default_network()
    return network if isinstance(network, Network) else network_of(network)


def load_network_file(path: Path) -> Network:
    """Read and check a network file; what is wrong is said with its field."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise NetworkFileError(
            f"Cannot read the network file {path}: {error.strerror or error}.",
            hint="Start a network with `ogpu up --network-file`, or correct OGPU_NETWORK_FILE.",
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise NetworkFileError(f"The network file {path} is over {MAX_FILE_BYTES} bytes.")
    try:
        document = parse_json(raw)
    except ValueError as error:
        raise NetworkFileError(f"The network file {path} is not JSON: {error}.") from error
    return parse_network(document, str(path))


def parse_network(document: Any, origin: str) -> Network:
    """A network from a decoded network file."""
    fields = _Fields(document, origin)
    contracts = fields.child("contracts")
    content = fields.child("content")
    named = {name: contracts.address(name) for name in REQUIRED_CONTRACTS}
    if contracts.has("MANAGER"):
        named["MANAGER"] = contracts.address("MANAGER")
    accounts = {}
    if fields.has("accounts"):
        listed = fields.child("accounts")
        accounts = {role: listed.accounts(role) for role in ROLES if listed.has(role)}
    return Network(
        name=fields.text("name"),
        chain_id=fields.positive("chain_id"),
        rpc_urls=fields.urls("rpc_urls"),
        contracts=named,
        upload_url=content.url("upload_url"),
        gateway_url=content.url("gateway_url"),
        management_url=fields.url("management_url"),
        accounts=accounts,
        ws_urls=fields.urls("ws_urls", WEBSOCKET) if fields.has("ws_urls") else (),
    )


def _is_url(value: object, schemes: tuple[str, str] = HTTP) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


class _Fields:
    """Checked access to one object of a network file; no message repeats a value, it may be a key."""

    def __init__(self, value: Any, origin: str, prefix: str = "") -> None:
        self._origin, self._prefix = origin, prefix
        if not isinstance(value, dict):
            raise NetworkFileError(
                f"Network file {origin}: {prefix.rstrip('.') or 'the document'} is not an object."
            )
        self._value: dict[str, Any] = value

    def has(self, name: str) -> bool:
        return name in self._value

    def _get(self, name: str) -> Any:
        if name not in self._value:
            self._fail(name, "is missing")
        return self._value[name]

    def _fail(self, name: str, reason: str) -> None:
        raise NetworkFileError(
            f"Network file {self._origin}: field {self._prefix}{name} {reason}.",
            facts={"field": f"{self._prefix}{name}", "reason": reason},
        )

    def child(self, name: str) -> _Fields:
        return _Fields(self._get(name), self._origin, f"{self._prefix}{name}.")

    def text(self, name: str) -> str:
        value = self._get(name)
        if not isinstance(value, str) or not re.fullmatch(r"[\w.-]{1,64}", value):
            self._fail(name, "is not a name of letters, digits, '.', '_' and '-'")
        return str(value)

    def positive(self, name: str) -> int:
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._fail(name, "is not a whole number above 0")
        return int(value)

    def address(self, name: str) -> str:
        value = self._get(name)
        if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
            self._fail(name, "is not an address (0x and 40 hexadecimal digits)")
        return str(value)

    def url(self, name: str) -> str:
        value = self._get(name)
        if not _is_url(value):
            self._fail(name, "is not an http or https URL")
        return str(value)

    def urls(self, name: str, schemes: tuple[str, str] = HTTP) -> tuple[str, ...]:
        value = self._get(name)
        if not isinstance(value, list) or not value or not all(_is_url(url, schemes) for url in value):
            self._fail(name, f"is not a list of at least one {schemes[0]} or {schemes[1]} URL")
        return tuple(value)

    def accounts(self, name: str) -> tuple[NetworkAccount, ...]:
        value = self._get(name)
        if not isinstance(value, list):
            self._fail(name, "is not a list of accounts")
        found = []
        for position, item in enumerate(value):
            entry = _Fields(item, self._origin, f"{self._prefix}{name}[{position}].")
            found.append(NetworkAccount(entry.address("address"), entry._key("private_key")))
        return tuple(found)

    def _key(self, name: str) -> str:
        value = self._get(name)
        if not isinstance(value, str) or not _KEY.fullmatch(value):
            self._fail(name, "is not a private key (0x and 64 hexadecimal digits)")
        return str(value)
