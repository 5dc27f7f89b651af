"""Logs of the network's own contracts as events; what is none of theirs is passed over. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from ogpu import events
from ogpu.errors import RPCInvalidResponse
from ogpu.events import LogPlace, ProtocolEvent, event_of
from ogpu.rpc.answers import hash_of, quantity
from ogpu.rpc.codec import Event, checked_address, interface
from ogpu.rpc.steps import Block
from ogpu.text import printable

logger = logging.getLogger(__name__)

STREAMED = ("Nexus", "Controller", "Terminal", "Vault", "Manager")  # those that there is one of on a network


@cache
def kinds_of(contract: str) -> Mapping[str, tuple[Event, type[ProtocolEvent]]]:
    """The events that a contract emits, by their topic."""
    return {
        event.topic: (event, getattr(events, event.name)) for event in interface(contract).events.values()
    }


@cache
def all_kinds() -> frozenset[type[ProtocolEvent]]:
    """What a stream can give."""
    return frozenset(kind for contract in STREAMED for _, kind in kinds_of(contract).values())


class Decoder:
    """The events of one network's contracts, which are given by name and address."""

    def __init__(self, contracts: Mapping[str, str]) -> None:
        self.addresses = tuple(map(checked_address, contracts.values()))
        self._known = {
            spelled.lower(): (spelled, kinds_of(name))
            for name, spelled in zip(contracts, self.addresses, strict=True)
        }

    def events(
        self, block: Block, kinds: frozenset[type[ProtocolEvent]] | None = None
    ) -> Iterator[ProtocolEvent]:
        """The events of these kinds, or of all, in a block."""
        for log in block.logs:
            if (event := self._event(log, block.timestamp, kinds)) is not None:
                yield event

    def _event(
        self, log: Mapping[str, Any], timestamp: int, kinds: frozenset[type[ProtocolEvent]] | None
    ) -> ProtocolEvent | None:
        found = self._known.get(str(log.get("address")).lower())
        topic = (log.get("topics") or ("",))[0].lower()
        if found is None or topic not in found[1]:
            return None
        event, kind = found[1][topic]
        if kinds is not None and kind not in kinds:
            return None
        try:
            place = LogPlace(
                found[0],
                quantity(log["blockNumber"]),
                hash_of(log["blockHash"]),
                hash_of(log["transactionHash"]),
                quantity(log["logIndex"]),
                timestamp,
            )
            return event_of(kind, event.decode(log), place)
        except (RPCInvalidResponse, ValueError, KeyError, TypeError) as error:
            reason = printable(str(error), 200)
            logger.warning("a log of %s at %s is no %s: %s", kind.__name__, found[0], kind.__name__, reason)
            return None


def expanded(kinds: Iterable[type[ProtocolEvent]]) -> frozenset[type[ProtocolEvent]]:
    """The kinds that are one of these or a kind of them."""
    return frozenset(kind for kind in all_kinds() if issubclass(kind, tuple(kinds)))
