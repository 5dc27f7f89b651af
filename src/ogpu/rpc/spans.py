"""How many blocks' logs are asked for at once: learned from refusals, and from how many logs come. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BLOCKS = 1000  # whose headers are one batch, some megabytes
ENOUGH_LOGS = 4000  # at once, in about as many megabytes
QUIET = 16  # answers until a size is tried again that was refused
LONGEST_TEXT = 500  # characters of a refusal that are looked at

# "… this block range should work: [0x1, 0x64]" (Alchemy, Infura), "retry with the range 1-100" (reth)
_ADVICE = re.compile(
    r"\[0x([0-9a-f]{1,16}), ?0x([0-9a-f]{1,16})\]|range (\d{1,18})-(\d{1,18})", re.IGNORECASE
)
# "limited to a 10,000 range", "up to a 2K block range", "maximum is set to 2048", "max block range: 5000"
_MOST = re.compile(
    r"(?:limited to|up to|maximum(?: is set to)?|max(?:imum)?(?: block)? range|exceeds? the range|limit)"
    r"[:\s]+(?:an? |of |is )?(\d[\d,]{0,12})(k\b)?",
    re.IGNORECASE,
)


@dataclass
class Span:
    """The number of blocks of which the logs are asked for now; it halves when refused and grows again.

    Empty blocks make it grow, and full ones may come after them: so it counts those apart that may have logs.
    """

    now: int = MOST_BLOCKS
    _refused: int = MOST_BLOCKS + 1
    _quiet: int = 0
    _each: float = ENOUGH_LOGS  # in a block that may have some; until it is known, one is asked for at a time

    def part(self, maybe: Sequence[bool]) -> int:
        """How many of these blocks to ask for, by which of them may have logs; one at least."""
        room = max(1, int(ENOUGH_LOGS / max(self._each, 1)))
        for count, may in enumerate(maybe[: self.now]):
            room -= may
            if room < 0:
                return count
        return min(len(maybe), self.now)

    def refused(self, count: int, message: str = "") -> None:
        """The logs of so many blocks were not given; the node's words may say of how many they would be."""
        told = advice(message)
        size = told if told and told < count else max(1, count // 2)
        self._refused = min(self._refused, count)
        self._quiet = 0
        self.now = min(self.now, size)

    def served(self, count: int, logs: int, maybe: int = 0) -> None:
        """The logs of so many blocks came, of which as many may have had some."""
        self._quiet += 1
        if maybe:
            self._each = max(self._each / 2, logs / maybe)
        if logs > ENOUGH_LOGS:
            self.now = max(1, min(self.now, count * ENOUGH_LOGS // logs))
        elif count >= self.now and 2 * logs <= ENOUGH_LOGS:
            self._grow()

    def _grow(self) -> None:
        larger = min(MOST_BLOCKS, 2 * self.now)
        if larger >= self._refused:
            if self._quiet < QUIET:
                return
            self._refused, self._quiet = MOST_BLOCKS + 1, 0
        self.now = larger


def advice(message: str) -> int | None:
    """How many blocks a refusal says would be served."""
    text = message[:LONGEST_TEXT]
    if found := _ADVICE.search(text):
        base = 16 if found[1] else 10
        return max(1, int(found[2] or found[4], base) - int(found[1] or found[3], base) + 1)
    if found := _MOST.search(text):
        return max(1, int(found[1].replace(",", "")) * (1000 if found[2] else 1))
    return None
