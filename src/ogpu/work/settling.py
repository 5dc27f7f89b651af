"""Seeing to it that a task which is given up can cost no more, before it is published again."""

from __future__ import annotations

import asyncio
from enum import Enum

from ogpu.errors import ContentError, ContractReverted, NotPermitted, OGPUError, ResultInvalid
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.results import Results, once
from ogpu.protocol.vault import AsyncVault
from ogpu.protocol.waiting import Sight
from ogpu.types import TaskStatus
from ogpu.work.terms import Terms

PAUSE = 1.0  # seconds before a payment is asked back again
PATIENCE = 60  # of those pauses
LOOK = 2.0  # seconds between two looks at a task whose payment is frozen


class End(Enum):
    """What a task that its client gives up has come to."""

    OPEN = "it may be answered and paid yet, so it is waited for"
    BACK = "its payment is back"
    PAID = "somebody was paid for it"
    FROZEN = "only a confirmation of ours would pay it; its payment comes back after its expiry"


class Settling:
    """What is done about the tasks of one job."""

    def __init__(self, results: Results, terms: Terms) -> None:
        self._results = results
        self._terms = terms

    async def end(self, task: str, error: OGPUError) -> End:
        """Give a task up, after this error of waiting for its result; every end but OPEN is for good."""
        sight = await self._results.waiting.sight_at_last(task)
        status = sight.task.status
        if status is TaskStatus.FINALIZED:  # what it was paid for cannot be used, or came at the last moment
            return End.PAID if isinstance(error, ContentError) else End.OPEN
        if await self._is_back(task, sight):
            return End.BACK
        if status is TaskStatus.RESPONDED and isinstance(error, ResultInvalid):
            return End.OPEN if await self._was("accept", task) else End.FROZEN
        return End.BACK if await self._cancel(task) else End.OPEN

    async def is_followed(self, task: str) -> bool:
        """Whether a task was canceled to be published again, also by a run before."""
        return await self._was("cancel", task)

    async def take_back(self, task: str) -> None:
        """See to the payment of a task that was given up: now, or after its expiry if the job lives then."""
        if not await self._is_settled(task):
            self._terms.purse.thaw(task, self._thawed(task))

    async def _thawed(self, task: str) -> None:
        while True:
            if await self._is_settled(task):
                return
            await asyncio.sleep(LOOK)

    async def _is_settled(self, task: str) -> bool:
        """Whether a given-up task's payment went somewhere; what is back may be spent again."""
        sight = await self._results.waiting.sight_at_last(task)
        if sight.task.status is TaskStatus.FINALIZED:
            return True
        back = await self._is_back(task, sight)
        if back:
            self._terms.purse.add(-self._terms.payment)
        return back

    async def _is_back(self, task: str, sight: Sight) -> bool:
        """Whether its payment is back, now that it is taken back if its time is over."""
        if sight.over and not sight.task.status.final:
            await self._release(task)
            return True
        return sight.task.status.final

    async def _cancel(self, task: str) -> bool:
        """Cancel a task that nobody has attempted; False when somebody has."""
        controller = AsyncController(self._results.chain, self._results.keys)
        key = await self._once("cancel", task)
        try:
            receipt = await controller.cancel_task(task, private_key=self._terms.signer, idempotency_key=key)
        except ContractReverted as error:
            self._terms.purse.add(error.facts.get("gas_cost", 0))
            return False
        self._terms.purse.add(receipt.gas_cost)
        return True

    async def _release(self, task: str) -> None:
        """Take the payment of an expired task back, as soon as the chain's clock lets us."""
        vault, key = AsyncVault(self._results.chain, self._results.keys), await self._once("release", task)
        for patience in range(PATIENCE, -1, -1):
            try:
                receipt = await vault.force_release_payment(
                    task, private_key=self._terms.signer, idempotency_key=key
                )
            except ContractReverted as error:
                if (await self._results.waiting.sight_at_last(task)).task.status.final:
                    self._terms.purse.add(error.facts.get("gas_cost", 0))
                    return  # somebody else has
                if not patience or isinstance(error, NotPermitted):
                    raise
            else:
                self._terms.purse.add(receipt.gas_cost)
                return
            await asyncio.sleep(PAUSE)

    async def _was(self, what: str, task: str) -> bool:
        """Whether that was sent for a task, by whoever shares our journal; it may not be mined yet."""
        return await self._results.chain.transactions.knows(await self._once(what, task))

    async def _once(self, what: str, task: str) -> str:
        return await once(what, self._results.chain, task)
