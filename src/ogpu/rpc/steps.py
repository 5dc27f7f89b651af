"""What `follow` takes and yields: places on the chain, blocks with their logs, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

FINALITY = 64  # blocks: twice an epoch of Ethereum's, so as deep as its finality usually is
POLL = 1.0  # seconds between two looks for a new block


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place on a chain: a block's number and hash (lower case)."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block and the logs of the followed addresses in it, raw and in order; `timestamp` in Unix seconds."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs: tuple[Mapping[str, Any], ...]

    @property
    def cursor(self) -> Cursor:
        """Its place."""
        return Cursor(self.number, self.hash)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The next blocks, in order and without a gap; `head` is the newest block that the node told of."""

    blocks: tuple[Block, ...]
    head: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The chain dropped blocks, newest first; `to` is the last one that stays, and it goes on after it."""

    dropped: tuple[Cursor, ...]
    to: Cursor


@dataclass(frozen=True, slots=True)
class Finalized:
    """The block and all before it are as deep as `finality` says, and stay."""

    cursor: Cursor


Step = Blocks | RolledBack | Finalized


class Hint(Protocol):
    """Something that may know sooner than the next look that there is a new block."""

    async def wait(self, timeout: float) -> None:
        """Return when it is worth looking, at the latest after so many seconds."""
