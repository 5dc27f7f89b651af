"""Which blocks are still to be looked at, while heads come and sometimes go back. Pure."""

from __future__ import annotations

WOUND_BACK = 2.0  # seconds that a chain stays behind what was seen until we take that for its new head
MARGIN = 10  # blocks that may have come between the winding back and our first look


class BlockCursor:
    """A place in the chain.

    A node that lags behind others goes on after a moment. A chain that was wound back does not: then the
    blocks after the lowest head that was met, and maybe some before it, are new ones.
    """

    def __init__(self, first: int) -> None:
        self.next = first
        self._behind: tuple[float, int] | None = None  # since when, and the lowest head since then

    def unseen(self, head: int, now: float) -> tuple[int, int] | None:
        """The first and last block to look at now, at a time in seconds."""
        if head < self.next - 1:
            since, lowest = self._behind or (now, head)
            self._behind = since, min(lowest, head)
            if now - since <= WOUND_BACK:
                return None
            self.next = max(0, self._behind[1] + 1 - MARGIN)
        self._behind = None
        return (self.next, head) if head >= self.next else None

    def seen(self, last: int) -> None:
        """All blocks up to that one have been looked at."""
        self.next = last + 1
