"""The right to give an account's nonces: a lease in the journal, taken anew when it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ogpu.errors import JournalUnavailable
from ogpu.tx.boundaries import Boundary
from ogpu.tx.context import Context
from ogpu.tx.journal import Lease, LeaseLost

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEASE = 6.0  # seconds; a lane is held only while a group is signed and stored
LEASE_PAUSE = 0.02  # seconds before the first new look at a lane that somebody else holds; doubles
LEASE_PATIENCE = 60.0


class Leases:
    """One account's leases, for one client: only one at a time is asked for."""

    def __init__(self, context: Context, sender: str) -> None:
        self._context = context
        self._sender = sender

    async def during(self, work: Callable[[Lease], Awaitable[T]]) -> T:
        """Do something with the lane's lease; anew when that was lost meanwhile."""
        deadline = self._context.now() + LEASE_PATIENCE
        while True:
            lease = await self._acquire(deadline)
            self._context.at(Boundary.LEASED)
            try:
                return await work(lease)
            except LeaseLost:
                logger.info("the lease of %s was lost before anything was stored", self._sender)
                if self._context.now() > deadline:
                    raise self._busy() from None
            except BaseException:
                self._context.spawn(self._context.journal.release(lease), "giving a lease back")
                raise

    async def _acquire(self, deadline: float) -> Lease:
        context, pause = self._context, LEASE_PAUSE
        while True:
            lease = await context.journal.acquire(await context.chain(), self._sender, context.lessee, LEASE)
            if lease is not None:
                return lease
            if context.now() > deadline:
                raise self._busy()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LEASE / 10)

    def _busy(self) -> JournalUnavailable:
        return JournalUnavailable(
            f"Other programs have held the lane of {self._sender} for {LEASE_PATIENCE:g} s.",
            hint="Nothing was sent. Try again.",
            facts={"journal": self._context.journal.name, "reason": "lease", "address": self._sender},
        )
