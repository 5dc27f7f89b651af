"""One piece of work: published, waited for, and published again once that cannot cost twice."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ogpu.errors import (
    ContentError,
    ContractReverted,
    OGPUError,
    ResultInvalid,
    TaskCanceled,
    TaskExpired,
    TransactionUndetermined,
)
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.market import USUAL_EXPIRY, Market, Shared
from ogpu.protocol.results import Result, Results, once
from ogpu.protocol.vault import AsyncVault
from ogpu.tx.state import Receipt, SendOptions
from ogpu.types import TaskInfo, TaskInput, TaskStatus
from ogpu.work.terms import Terms

if TYPE_CHECKING:
    from pydantic import BaseModel

ASKED_AGAIN = 3  # times that a publish whose fate is open is waited on for
PAUSE = 1.0  # seconds before a payment is asked back again
PATIENCE = 60  # of those pauses


class Jobs:
    """Does pieces of work on one network."""

    def __init__(self, market: Market, results: Results) -> None:
        self.chain = results.chain
        self.market = market
        self.results = results

    async def submit(self, terms: Terms, data: BaseModel | dict[str, Any]) -> str:
        """Publish one task, by the key itself; its address."""
        return self.market.task_of(await self.publish(terms, data, terms.key))

    async def do(
        self,
        terms: Terms,
        data: BaseModel | dict[str, Any],
        item: int | None = None,
        published: Callable[[str], None] | None = None,
    ) -> Result:
        """The result of one piece, in as many attempts as its terms allow.

        With a key it goes on with the last attempt that the journal has.
        """
        attempt = await self._last_attempt(terms, item)
        while True:
            one = _Attempt(self, terms, terms.key_of(item, attempt), attempt == terms.retry.attempts)
            outcome = await one.outcome(data, published)
            if isinstance(outcome, Result):
                return outcome
            attempt += 1

    async def publish(self, terms: Terms, data: BaseModel | dict[str, Any], key: str | None) -> Receipt:
        """Publish a task, or learn what became of that when the journal has its key."""
        info = TaskInfo(
            terms.source,
            TaskInput(terms.function, data),
            int(time.time()) + (terms.expires_in or USUAL_EXPIRY),
            terms.payment,
        )
        options = SendOptions(key=key)
        if await self.knows(key):  # then the node may be away, and the expiry is what it was
            return await self.market.send_task(info, terms.signer, options)
        shared = Shared(self.chain, terms.signer.address)
        try:
            expiry = await shared.expiry(terms.source, terms.expires_in)
            return await self.market.send_task(
                replace(info, expiryTime=expiry), terms.signer, options, shared
            )
        finally:
            await shared.close()

    async def knows(self, key: str | None) -> bool:
        """Whether the journal has a publish by that key."""
        return key is not None and await self.chain.transactions.knows(key)

    async def most_gas(self, terms: Terms, data: BaseModel | dict[str, Any]) -> int:
        """What publishing one task and confirming its response cost in gas at most, as it is now (wei)."""
        shared = Shared(self.chain, terms.signer.address)
        try:
            expiry = await shared.expiry(terms.source, terms.expires_in)
        finally:
            await shared.close()
        info = TaskInfo(terms.source, TaskInput(terms.function, data), expiry, terms.payment)
        cost = await self.market.estimate(info, terms.signer.address)
        return 2 * cost.gas_cost  # confirming takes less than publishing, which makes a contract

    async def _last_attempt(self, terms: Terms, item: int | None) -> int:
        for attempt in range(terms.retry.attempts, 1, -1):
            if await self.knows(terms.key_of(item, attempt)):
                return attempt
        return 1


class _Attempt:
    """One publication of a piece of work, and what becomes of it."""

    def __init__(self, jobs: Jobs, terms: Terms, key: str | None, last: bool) -> None:
        self._jobs = jobs
        self._terms = terms
        self._key = key
        self._last = last  # no other one follows
        self._gas_cost = 0
        self._payment = 0  # that is paid, or may be yet

    async def outcome(
        self, data: BaseModel | dict[str, Any], published: Callable[[str], None] | None
    ) -> Result | None:
        """Its result, or None when another attempt is to be made; raises what ends the work."""
        hold = self._key or secrets.token_hex(8)
        await self._terms.purse.hold(hold, self._terms.payment + await self._most_gas(data))
        try:
            receipt = await self._published(data)
            self._gas_cost, self._payment = receipt.gas_cost, self._terms.payment
            task = self._jobs.market.task_of(receipt)
            if published is not None:
                published(task)
            result = await self._result(task, self._terms.timeout)
            if result is not None:
                self._gas_cost += result.gas_cost
                self._payment = result.paid
            return result
        except self._terms.retry.on:
            if self._last:
                raise
            return None  # it was not published, and never will be by this key
        finally:
            self._terms.purse.settle(hold, self._gas_cost + self._payment)

    async def _most_gas(self, data: BaseModel | dict[str, Any]) -> int:
        purse = self._terms.purse
        if not purse.limited or await self._jobs.knows(self._key):
            return 0
        if purse.gas is None:
            purse.gas = await self._jobs.most_gas(self._terms, data)
        return purse.gas

    async def _published(self, data: BaseModel | dict[str, Any]) -> Receipt:
        for _ in range(ASKED_AGAIN - 1):
            try:
                return await self._jobs.publish(self._terms, data, self._key)
            except TransactionUndetermined:
                continue  # the same call waits on for the same transaction
        return await self._jobs.publish(self._terms, data, self._key)

    async def _result(self, task: str, timeout: float) -> Result | None:
        try:
            return await self._jobs.results.get(task, timeout, self._terms.wish)
        except (TaskCanceled, TaskExpired) as error:
            self._payment = 0  # nobody can be paid for it any more
            if not self._last and await self._is_followed(task, error):
                return await self._settled(task, error)
            raise
        except self._terms.retry.on as error:
            if self._last:
                raise
            return await self._settled(task, error)

    async def _is_followed(self, task: str, error: OGPUError) -> bool:
        """Whether another attempt is made after it; also when it was canceled for that by a run before."""
        if isinstance(error, self._terms.retry.on):
            return True
        return await self._jobs.knows(await self._once("cancel", task))

    async def _settled(self, task: str, error: OGPUError) -> Result | None:
        """See to it that a task can cost no more before it is published again; its result, if that came."""
        sight = await self._jobs.results.waiting.sight(task)
        now = sight.task
        if now.status is TaskStatus.FINALIZED:
            paid = isinstance(error, ContentError)  # for what cannot be used
            return None if paid else await self._result(task, math.inf)
        if now.status.final:
            return None
        if sight.over:
            await self._release(task)
            return None
        if now.status is TaskStatus.RESPONDED and isinstance(error, ResultInvalid):
            self._payment = 0  # which only a confirmation of ours would cost
            return None
        return None if await self._cancel(task) else await self._result(task, math.inf)

    async def _cancel(self, task: str) -> bool:
        """Cancel a task that nobody has attempted; False when somebody has."""
        controller = AsyncController(self._jobs.chain, self._jobs.results.keys)
        try:
            await controller.cancel_task(
                task, private_key=self._terms.signer, idempotency_key=await self._once("cancel", task)
            )
        except ContractReverted:
            return False
        self._payment = 0
        return True

    async def _release(self, task: str) -> None:
        """Take the payment of an expired task back, as soon as the chain's clock lets us."""
        vault, key = AsyncVault(self._jobs.chain, self._jobs.results.keys), await self._once("release", task)
        for patience in range(PATIENCE, -1, -1):
            try:
                await vault.force_release_payment(task, private_key=self._terms.signer, idempotency_key=key)
            except ContractReverted:
                if (await self._jobs.results.waiting.sight(task)).task.status.final:
                    return  # somebody else has
                if not patience:
                    raise
            else:
                return
            await asyncio.sleep(PAUSE)

    async def _once(self, what: str, task: str) -> str:
        return await once(what, self._jobs.chain, task)
