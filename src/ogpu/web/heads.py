"""The chain's head as its node tells it, asked once for all who want to know."""

from __future__ import annotations

import asyncio
import time

from ogpu.errors import OGPUError
from ogpu.networks import Network
from ogpu.rpc.transport import RPC, quantity

TIMEOUT = 1.5  # seconds


class Heads:
    """Asks the network's nodes for the head; None when they do not tell it in time."""

    def __init__(self, network: Network) -> None:
        self._rpc = RPC(network.rpc_urls, network.chain_id, timeout=TIMEOUT)
        self._asking: asyncio.Task[int | None] | None = None
        self._told: tuple[int | None, float] = (None, float("-inf"))

    async def recent(self, age: float) -> int | None:
        """The head as it was told at most `age` seconds ago."""
        head, when = self._told
        return head if time.monotonic() - when <= age else await self.now()

    async def now(self) -> int | None:
        """The head, asked for after this call: an answer that is on its way already may be older."""
        if self._asking is not None:
            await asyncio.shield(self._asking)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> int | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                head: int | None = quantity(await self._rpc.call("eth_blockNumber"))
        except (OGPUError, TimeoutError):
            head = None
        self._told = head, time.monotonic()
        return head

    async def close(self) -> None:
        """End the connections."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._rpc.close()
