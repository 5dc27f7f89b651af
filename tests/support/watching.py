"""What streams of events are measured by: cheap events, and what the chain itself has of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from web3 import Web3

from ogpu import AsyncClient, events
from ogpu.events import ProtocolEvent, VaultMovement
from ogpu.streams.streams import Streams
from tests.support.localnet import RunningNetwork

CONTRACTS = ("Nexus", "Controller", "Terminal", "Vault", "Manager")
PATIENCE = 15.0  # seconds

_DEPOSIT = "0xf340fa01"  # deposit(address)


def deposit(network: RunningNetwork, amount: int, account: str | None = None) -> None:
    """Let something happen that the amount (wei) tells from everything else: a `Deposited`."""
    sender = network.address()
    calldata = _DEPOSIT + (account or sender)[2:].lower().rjust(64, "0")
    network.transact_raw("Vault", calldata, sender=sender, value=amount)


def amounts(events: Iterable[ProtocolEvent]) -> list[int]:
    """The amounts of movements in the Vault."""
    return [event.amount for event in events if isinstance(event, VaultMovement)]


def head(network: RunningNetwork) -> int:
    """The number of the newest block."""
    return int(network.rpc("eth_blockNumber"), 16)


@dataclass
class Ledger:
    """What a watcher knows by its stream; each event has to fit those before it."""

    events: list[ProtocolEvent] = field(default_factory=list)
    removed: int = 0

    def take(self, event: ProtocolEvent) -> None:
        """Note an event, or that the last one is taken back."""
        if event.removed:
            last = self.events.pop()
            assert (last.place, type(last)) == (event.place, type(event)), "not what was given last"
            self.removed += 1
            return
        place = event.place
        assert place.timestamp is not None
        if self.events:
            last = self.events[-1]
            assert (last.place.block_number, last.place.log_index) < (place.block_number, place.log_index)
        self.events.append(event)

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Where the chain has them."""
        return [(event.place.block_hash, event.place.log_index) for event in self.events]


@dataclass(frozen=True)
class Logged:
    """An event as web3 reads it."""

    name: str
    arguments: dict[str, Any]
    block_hash: str
    log_index: int

    @property
    def key(self) -> tuple[str, int]:
        """Where the chain has it."""
        return self.block_hash, self.log_index


@cache
def _abi(contract: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        resources.files("ogpu").joinpath("abi", f"{contract}.json").read_text()
    )["abi"]
    return found


def by_web3(network: RunningNetwork, first: int = 0) -> list[Logged]:
    """All events of the network's contracts since a block, in order, as web3 finds and decodes them."""
    web3 = Web3(Web3.HTTPProvider(network.url))
    found: list[tuple[int, Logged]] = []
    for contract in CONTRACTS:
        address = Web3.to_checksum_address(network.document["contracts"][contract.upper()])
        deployed = web3.eth.contract(address=address, abi=_abi(contract))
        for entry in _abi(contract):
            if entry["type"] == "event":
                for log in deployed.events[entry["name"]]().get_logs(from_block=first):
                    logged = Logged(
                        entry["name"], dict(log.args), "0x" + log.blockHash.hex(), int(log.logIndex)
                    )
                    found.append((int(log.blockNumber), logged))
    return [logged for _, logged in sorted(found, key=lambda each: (each[0], each[1].log_index))]


def streams_of(client: AsyncClient) -> Streams:
    """What all streams of a client share."""
    return client.chain.streams


def nobody_watches(streams: Streams) -> bool:
    """Whether nothing is left of streams that have ended."""
    return not streams._members and streams._feed is None and all(each.done() for each in streams._ending)


def keys_of(logged: Sequence[Logged]) -> list[tuple[str, int]]:
    """Where the chain has them."""
    return [each.key for each in logged]


@dataclass(frozen=True)
class Kinship:
    """What web3 reads of items: the source of each task, the task and the provider of each response."""

    sources: dict[str, str]
    tasks: dict[str, str]
    providers: dict[str, str]

    def only(
        self,
        logged: Iterable[Logged],
        kinds: Any = None,
        source: str | Iterable[str] | None = None,
        task: str | Iterable[str] | None = None,
        provider: str | Iterable[str] | None = None,
    ) -> list[Logged]:
        """Those of the events that a filter by these is for."""
        several = kinds if isinstance(kinds, tuple) else (kinds or ProtocolEvent,)
        wanted = [
            (_lower(source), self._source),
            (_lower(task), self._task),
            (_lower(provider), self._provider),
        ]
        return [
            each
            for each in logged
            if issubclass(getattr(events, each.name), several)
            and all(given is None or about(each.arguments) in given for given, about in wanted)
        ]

    def _task(self, arguments: dict[str, Any]) -> str:
        task: str = arguments.get("task") or self.tasks.get(arguments.get("response", ""), "")
        return task.lower()

    def _source(self, arguments: dict[str, Any]) -> str:
        source: str = arguments.get("source") or self.sources.get(self._task(arguments), "")
        return source.lower()

    def _provider(self, arguments: dict[str, Any]) -> str:
        money = arguments.get("account", "") if "amount" in arguments else ""
        provider: str = (
            money or arguments.get("provider") or self.providers.get(arguments.get("response", ""), "")
        )
        return provider.lower()


def _lower(given: str | Iterable[str] | None) -> set[str] | None:
    if given is None:
        return None
    return {each.lower() for each in ([given] if isinstance(given, str) else given)}


def kinship(network: RunningNetwork, logged: Sequence[Logged]) -> Kinship:
    """Of all items that these events name."""
    web3 = Web3(Web3.HTTPProvider(network.url))
    tasks = {each.arguments["task"] for each in logged if "task" in each.arguments}
    responses = {each.arguments["response"] for each in logged if "response" in each.arguments}

    def read(item: str, contract: str, function: str) -> Any:
        return (
            web3.eth.contract(Web3.to_checksum_address(item), abi=_abi(contract)).functions[function]().call()
        )

    params = {response: read(response, "Response", "getResponseParams") for response in responses}
    sources = {task: read(task, "Task", "getSource") for task in tasks}
    return Kinship(
        {task.lower(): source for task, source in sources.items()},
        {response: found[0] for response, found in params.items()},
        {response: found[1] for response, found in params.items()},
    )
