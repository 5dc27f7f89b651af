"""What the parts of the engine share: one client's node, journal, policy and budget."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ogpu.errors import OGPUError
from ogpu.rpc.transport import RPC
from ogpu.tx.boundaries import Boundary
from ogpu.tx.budget import Budget
from ogpu.tx.journal import Journal, this_owner
from ogpu.tx.state import Policy

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

logger = logging.getLogger(__name__)


class Context:
    """One client's engine room; used on one event loop."""

    def __init__(
        self,
        rpc: RPC,
        chain_id: int,
        journal: Journal,
        policy: Policy,
    ) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self.journal = journal
        self.policy = policy
        self.budget = Budget(policy.max_spend)
        self.at: Callable[[Boundary], None] = journal.at
        self.signer_of: Callable[[str], Signer | None] = _no_signer  # when the client has that key
        self.owner = this_owner()
        self.lessee = f"{self.owner}#{secrets.token_hex(4)}"  # two clients of a process lease in turn
        self.doubtful: set[str] = set()  # keys that may be stored though their callers were told otherwise
        self._chain: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def chain(self) -> str:
        """The chain's identity: two local chains may have one id, and never one genesis."""
        if self._chain is None:
            self._chain = f"{self.chain_id}:{await self.rpc.genesis()}"
        return self._chain

    @staticmethod
    def now() -> float:
        """The event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[Any, Any, object], what: str) -> None:
        """Do something beside the caller; what it raises is logged, since nobody waits for it."""
        task = asyncio.get_running_loop().create_task(self._logged(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before its first step

    async def close(self, *, cancel: bool = True) -> None:
        """Wait for what was spawned, or cancel it."""
        while tasks := list(self._tasks):
            for task in tasks if cancel else ():
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _logged(work: Coroutine[Any, Any, object], what: str) -> None:
        try:
            await work
        except OGPUError as error:
            logger.warning("%s: %s", what, error)


def _no_signer(sender: str) -> None:
    """What a client without keys has."""
