"""Whether a head is believed: reads do not go backwards, unless every node insists. Pure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

# Replicas lag by a block or two. A chain that stays shorter for so long was wound back (`evm_revert`) or
# reorganised to a shorter one.
HEAD_PATIENCE = 3.0  # seconds


@dataclass
class Heads:
    """The highest head that was seen, and since when only older ones are told."""

    highest: int = 0
    _older_since: float | None = None

    def believes(self, told: Sequence[int], floor: int) -> bool:
        """Whether an answer is as new as the highest head (`floor`) when it was asked for; it is noted then.

        Requests overtake each other, so the highest head of now would be too much to ask.
        """
        if not told:
            return True
        if min(told) < min(floor, self.highest):
            return False
        if max(told) >= self.highest:
            self.highest = max(told)
            self._older_since = None
        return True

    def insisted(self, newest: int, now: float) -> bool:
        """Note that all nodes tell an older head, this at most; whether that has lasted long enough."""
        if self._older_since is None:
            self._older_since = now
        if now - self._older_since < HEAD_PATIENCE:
            return False
        logger.warning(
            "the chain went back: all nodes tell heads older than block %d, for %g s; going on from block %d",
            self.highest,
            HEAD_PATIENCE,
            newest,
        )
        self.highest = newest
        self._older_since = None
        return True
