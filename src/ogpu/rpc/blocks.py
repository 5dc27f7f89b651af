"""Headers and logs as a node tells them, taken only when they fit together. Pure.

A header's own hash is not computed anew. Its fields differ from chain to chain and from fork to fork, so an
honest node's would be refused; and who lies can compute hashes as well. What counts is that number, parent,
logs and all later answers agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ogpu.errors import ChainInconsistent
from ogpu.rpc.answers import hash_of, mapping, quantity
from ogpu.rpc.steps import Block, Cursor
from ogpu.text import shown

_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_MOST_TOPICS = 4  # which the EVM can log

Log = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed of a block's header; `timestamp` in Unix seconds."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int

    @property
    def cursor(self) -> Cursor:
        """Its place."""
        return Cursor(self.number, self.hash)


def unfit(block: int, reason: str) -> ChainInconsistent:
    """The error for what does not fit together at a block."""
    return ChainInconsistent(
        f"What the node tells of block {block} does not fit: {reason}.",
        hint="Use the RPC URL of another node, or several.",
        facts={"block": block, "reason": reason},
    )


def header_of(value: Any, number: int | None = None) -> Header:
    """A header from a node's answer, of the number that was asked for."""
    told = mapping(value)
    header = Header(
        quantity(told.get("number")),
        hash_of(told.get("hash")),
        hash_of(told.get("parentHash")),
        quantity(told.get("timestamp")),
    )
    if number is not None and header.number != number:
        raise unfit(number, f"it is given the number {header.number}")
    return header


def linked(headers: Sequence[Header]) -> None:
    """See to it that each header is the next one's parent."""
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash:
            raise unfit(child.number, "its parent is another block than the one before it")


def with_logs(headers: Sequence[Header], logs: Sequence[Any], addresses: frozenset[str]) -> tuple[Block, ...]:
    """Blocks from linked headers and all logs of these addresses (lower case) in them."""
    hashes = {header.number: header.hash for header in headers}
    found: dict[int, list[Log]] = {}
    before = (-1, -1)
    for value in logs:
        log = mapping(value)
        number, index = quantity(log.get("blockNumber")), quantity(log.get("logIndex"))
        if number not in hashes:
            raise unfit(number, "a log of it was not asked for")
        if reason := _oddity(log, hashes[number], addresses):
            raise unfit(number, reason)
        if (number, index) <= before:
            raise unfit(number, "its logs are not in order, or one is there twice")
        before = number, index
        found.setdefault(number, []).append(log)
    return tuple(
        Block(
            header.number,
            header.hash,
            header.parent_hash,
            header.timestamp,
            tuple(found.get(header.number, ())),
        )
        for header in headers
    )


def _oddity(log: Log, block_hash: str, addresses: frozenset[str]) -> str:
    """What is wrong with a log of a block, or nothing."""
    if hash_of(log.get("blockHash")) != block_hash:
        return "a log has another block's hash"
    if log.get("removed"):
        return "a log was removed"
    if str(log.get("address")).lower() not in addresses:
        return f"a log is of {shown(log.get('address'))}, which was not asked for"
    topics, data = log.get("topics"), log.get("data")
    if not isinstance(topics, list) or len(topics) > _MOST_TOPICS:
        return "a log has no topics"
    if not all(isinstance(topic, str) and _WORD.fullmatch(topic) for topic in topics):
        return "a log has a topic that is none"
    if not isinstance(data, str) or not _DATA.fullmatch(data):
        return "a log has data that is none"
    return ""
