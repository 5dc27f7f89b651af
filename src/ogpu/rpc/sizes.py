"""How many reads a node gets in a batch: learned from what it refuses and how long its answers are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SIZE = 1000  # requests, what geth and many gateways take; Besu and Nethermind 1,024, Erigon 100
DOUBTS = 2  # refusals in unknown words that may have been a passing trouble
ROOM = 4  # a batch may double when its answer took less than this part of the limit


@dataclass
class Sizes:
    """The sizes of one node's batches.

    `most` is what the node takes, and only its refusals lower it. `now` is lower after an answer that was too
    large, and grows back with the ones that are small. `proven` is the largest batch that it has served.
    """

    most: int = FIRST_SIZE
    now: int = FIRST_SIZE
    proven: int = 0
    _doubts: int = 0

    @property
    def known(self) -> bool:
        """Whether a batch of the present size has been served, so that several may be on their way."""
        return self.proven >= self.now

    def refused(self, count: int, limit: int | None = None, *, clearly: bool = True) -> None:
        """A batch of `count` was not served; in words that nobody knows it may be a passing trouble."""
        size = limit if limit and limit < count else max(1, count // 2)
        if not clearly and count > self.proven:
            self._doubts += 1
        if clearly or (count > self.proven and self._doubts > DOUBTS):
            self.most = min(self.most, size)
        self.now = min(self.now, size)

    def too_large(self, served: int) -> None:
        """The answer to a batch was over a limit; `served` is how many may come at once."""
        self.now = min(self.now, max(1, served))

    def served(self, count: int, part: float) -> None:
        """A batch was served with an answer that is that part of the limit."""
        self.proven = max(self.proven, count)
        if count >= self.now and part * ROOM < 1:
            self.now = min(self.most, 2 * self.now)
