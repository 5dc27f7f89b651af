"""What a job may spend; whoever asks for more than is left waits for what others give back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from ogpu.errors import BudgetExceeded, OGPUError
from ogpu.tx.budget import Budget

logger = logging.getLogger(__name__)


class Purse(Budget):
    """A budget in wei over payments and gas, on one event loop.

    It also looks after the payments that are frozen in tasks which were given up.
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit, of="this work", setting="budget", advice="Raise budget.")
        self.limited = limit is not None
        self.turn = (
            asyncio.Lock()
        )  # of pieces that are priced and held in their order, so no later one goes first
        self._changed = asyncio.Event()
        self._frozen: dict[str, asyncio.Task[None]] = {}  # by the task's address

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

    def add(self, cost: int) -> None:
        """What was spent beside, or is back when it is below 0."""
        self._committed += cost
        self._changed.set()

    def frozen(self, tasks: Iterable[str]) -> list[str]:
        """Those of these tasks whose payments are not back."""
        return [task for task in tasks if task in self._frozen]

    def thaw(self, task: str, work: Coroutine[Any, Any, None]) -> None:
        """Do what brings a given-up task's payment back, while the job lives."""

        async def thawing() -> None:
            try:
                await work
            except OGPUError as error:
                logger.warning("the payment of task %s was not taken back: %s", task, error)
            else:
                del self._frozen[task]

        self._frozen[task] = asyncio.create_task(thawing(), name=f"taking back {task}")

    async def close(self) -> None:
        """End with the job; says which payments are still frozen."""
        for work in self._frozen.values():
            work.cancel()
        await asyncio.gather(*self._frozen.values(), return_exceptions=True)
        if self._frozen:
            logger.warning(
                "these tasks were given up, and their payments are frozen until they expire: %s; "
                "vault.force_release_payment(task) brings them back then",
                ", ".join(self._frozen),
            )
