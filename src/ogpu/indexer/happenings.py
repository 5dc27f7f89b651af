"""The protocol's events in raw logs, in a form that is quick to project and to store. Pure.

What a log of a followed contract says is stored whatever it is, but bounded: of text over `LONGEST_TEXT`
characters the beginning is kept, with "…" behind it; NUL, which PostgreSQL has no place for, is written as
"␀"; bytes that are no UTF-8 were replaced by "�" when they were decoded. Logs that no protocol
event fits, or that cannot be decoded, are left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ogpu.errors import RPCInvalidResponse
from ogpu.networks import Network
from ogpu.rpc.answers import hash_of, quantity
from ogpu.rpc.codec import ZERO_ADDRESS, Event, interface
from ogpu.rpc.steps import Block

logger = logging.getLogger(__name__)

LONGEST_TEXT = 16_384  # characters; links, and what providers say of themselves, are much shorter
CONTRACTS = {
    "NEXUS": "Nexus",
    "CONTROLLER": "Controller",
    "TERMINAL": "Terminal",
    "VAULT": "Vault",
    "MANAGER": "Manager",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: `at` in Unix seconds, arguments by the names of `ogpu.events`, numbers as numbers."""

    block: int
    index: int  # of the log
    at: int
    tx: str
    contract: str
    kind: str
    arguments: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.arguments[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Kind:
    """An event of the ABI, and how its arguments are written as JSON."""

    event: Event
    names: tuple[tuple[str, str], ...]  # in the ABI, and ours


def stored_text(text: str) -> str:
    """Text as it is stored: bounded, and the same in every database."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    if "\0" in text:
        text = text.replace("\0", "␀")
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


class Decoder:
    """What turns the logs of one network's contracts into happenings."""

    def __init__(self, network: Network) -> None:
        self._names = {
            network.contracts[key].lower(): name
            for key, name in CONTRACTS.items()
            if key in network.contracts
        }

    @property
    def addresses(self) -> list[str]:
        """The contracts whose logs are wanted, in lower case."""
        return list(self._names)

    def of(self, blocks: Iterable[Block]) -> list[Happening]:
        """The events of blocks, in order."""
        return [
            found
            for block in blocks
            for log in block.logs
            if (found := self._happening(block, log)) is not None
        ]

    def _happening(self, block: Block, log: Mapping[str, Any]) -> Happening | None:
        contract = self._names[log["address"].lower()]
        topics = log["topics"]
        kind = _kinds(contract).get(topics[0].lower()) if topics else None
        if kind is None:
            return None  # what a proxy or a newer version of the contract says of itself
        try:
            decoded = kind.event.decode(log)
            return Happening(
                block.number,
                quantity(log["logIndex"]),
                block.timestamp,
                hash_of(log["transactionHash"]),
                contract,
                kind.event.name,
                {ours: plain(decoded[theirs]) for theirs, ours in kind.names},
            )
        except RPCInvalidResponse as error:
            logger.warning("a log in block %d is left out: %s", block.number, error)
            return None


def plain(value: Any) -> Any:
    """A decoded value: text fit to be stored, bytes as hex."""
    if isinstance(value, str):
        return stored_text(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return SourceTerms(*map(plain, value))
    return value


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """A source's terms in the contracts' order. Amounts in wei, times in Unix seconds."""

    client: str
    image_metadata_url: str
    image_environments: int
    min_payment: int
    min_available_lockup: int
    max_expiry_duration: int
    privacy_enabled: bool
    optional_params_url: str
    delivery_method: int
    last_update_time: int


def arguments_json(happening: Happening) -> str:
    """All arguments as JSON; whole numbers as text but for enumerations, which fit every reader."""
    import orjson

    return orjson.dumps({name: _written(name, value) for name, value in happening.arguments.items()}).decode()


def present(address: str | None) -> str | None:
    """An address, or None for the zero address."""
    return None if address == ZERO_ADDRESS else address


_ENUMERATIONS = {"status", "preferred_environment", "image_environments", "delivery_method"}


def _written(name: str, value: Any) -> Any:
    if isinstance(value, SourceTerms):
        return {field: _written(field, getattr(value, field)) for field in SourceTerms.__slots__}
    if isinstance(value, int) and not isinstance(value, bool) and name not in _ENUMERATIONS:
        return str(value)
    return value


@cache
def _kinds(contract: str) -> Mapping[str, Kind]:
    events = interface(contract).events.values()
    return {event.topic: Kind(event, tuple(_both_names(event.inputs))) for event in events}


def _both_names(inputs: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for entry in inputs:
        # `suggestedPayment` as `suggested_payment`, like the fields of `ogpu.events`.
        yield entry["name"], re.sub(r"(?<!^)(?=[A-Z])", "_", entry["name"]).lower()
