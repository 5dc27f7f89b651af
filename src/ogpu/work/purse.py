"""What a job may spend; whoever asks for more than is left waits for what others give back."""

from __future__ import annotations

import asyncio

from ogpu.errors import BudgetExceeded
from ogpu.tx.budget import Budget


class Purse(Budget):
    """A budget in wei over payments and gas, on one event loop."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit, of="this work", setting="budget", advice="Raise budget.")
        self.limited = limit is not None
        self.gas: int | None = None  # what one piece takes at most, once that was asked for
        self._changed = asyncio.Event()

    async def hold(self, key: str, most: int) -> None:
        """Set aside what a piece may cost, once that is left; `BudgetExceeded` when it never will be."""
        while True:
            self._changed.clear()
            try:
                return self.reserve(key, most)
            except BudgetExceeded:
                if not self.held:
                    raise
            await self._changed.wait()

    def settle(self, key: str, cost: int) -> None:
        """What it has cost after all."""
        super().settle(key, cost)
        self._changed.set()
