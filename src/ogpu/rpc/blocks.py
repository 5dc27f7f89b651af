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
from ogpu.rpc.bloom import bits_of_hex, bloom_of, chance
from ogpu.rpc.steps import Block, Cursor
from ogpu.text import shown

_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_MOST_TOPICS = 4  # which the EVM can log

LARGEST = 2**63 - 1  # number of a block or log, and time, that any database can store
UNLIKELY = 1e-4  # that a bloom has an address's bits and not its logs, in a block that is not crowded

Log = Mapping[str, Any]
Bits = Mapping[str, int]  # of the followed addresses (lower case), in a bloom


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed of a block's header; `timestamp` in Unix seconds."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    bloom: int

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
        bloom_of(told.get("logsBloom")),
    )
    if max(header.number, header.timestamp) > LARGEST:
        raise unfit(
            header.number if number is None else number, "its number or time is beyond all that can be"
        )
    if number is not None and header.number != number:
        raise unfit(number, f"it is given the number {header.number}")
    return header


def linked(headers: Sequence[Header]) -> None:
    """See to it that each header is the next one's parent."""
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash:
            raise unfit(child.number, "its parent is another block than the one before it")


def with_logs(headers: Sequence[Header], logs: Sequence[Any], bits: Bits) -> list[Block]:
    """Blocks from linked headers and the logs of the followed addresses in them."""
    of = {header.number: header for header in headers}
    found: dict[int, list[Log]] = {}
    before = (-1, -1)
    for value in logs:
        log = mapping(value)
        number, index = quantity(log.get("blockNumber")), quantity(log.get("logIndex"))
        if number not in of:
            raise unfit(number, "a log of it was not asked for")
        if reason := _oddity(log, of[number], bits):
            raise unfit(number, reason)
        hash_of(log.get("transactionHash"))
        if index > LARGEST:
            raise unfit(number, "a log's place is beyond all that can be")
        if (number, index) <= before:
            raise unfit(number, "its logs are not in order, or one is there twice")
        before = number, index
        found.setdefault(number, []).append(log)
    return [
        Block(one.number, one.hash, one.parent_hash, one.timestamp, tuple(found.get(one.number, ())))
        for one in headers
    ]


def may_have_logs(header: Header, bits: Bits) -> bool:
    """Whether a block's bloom allows for a log of one of these addresses."""
    return any(its & header.bloom == its for its in bits.values())


def is_doubtful(header: Header, block: Block, bits: Bits) -> bool:
    """Whether its bloom says that there may be a log of an address of which there is none."""
    if not header.bloom:
        return False
    missing = [address for address, its in bits.items() if its & header.bloom == its]
    if missing and block.logs:
        there = {log["address"].lower() for log in block.logs}
        missing = [address for address in missing if address not in there]
    return bool(missing)


def is_unlikely(header: Header) -> bool:
    """Whether a bloom that is as full hardly has an address's bits by chance."""
    return chance(header.bloom) < UNLIKELY


def _oddity(log: Log, header: Header, bits: Bits) -> str:
    """What is wrong with a log of a block, or nothing."""
    if hash_of(log.get("blockHash")) != header.hash:
        return "a log has another block's hash"
    if log.get("removed"):
        return "a log was removed"
    address, topics, data = log.get("address"), log.get("topics"), log.get("data")
    its = bits.get(address.lower()) if isinstance(address, str) else None
    if its is None:
        return f"a log is of {shown(address)}, which was not asked for"
    if not isinstance(topics, list) or len(topics) > _MOST_TOPICS:
        return "a log has no topics"
    if not all(isinstance(topic, str) and _WORD.fullmatch(topic) for topic in topics):
        return "a log has a topic that is none"
    if not isinstance(data, str) or not _DATA.fullmatch(data):
        return "a log has data that is none"
    for topic in topics:
        its |= bits_of_hex(topic)
    return "" if its & header.bloom == its else "a log is not in its bloom"
