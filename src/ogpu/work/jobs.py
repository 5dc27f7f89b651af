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
    JournalError,
    OGPUError,
    TaskCanceled,
    TaskExpired,
    TransactionUndetermined,
    WaitTimeout,
)
from ogpu.protocol.market import USUAL_EXPIRY, Market, Shared
from ogpu.protocol.results import Result, Results
from ogpu.tx.state import Receipt, SendOptions
from ogpu.types import TaskInfo, TaskInput, TaskStatus
from ogpu.work.settling import PAUSE, End, Settling
from ogpu.work.terms import Terms

if TYPE_CHECKING:
    from pydantic import BaseModel

ASKED_AGAIN = 3  # times that a publish whose fate is open is waited on for


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
        given_up = [await self._earlier(terms, data, terms.key_of(item, each)) for each in range(1, attempt)]
        try:
            while True:
                one = _Attempt(self, terms, item, attempt)
                outcome = await one.outcome(data, published)
                if isinstance(outcome, Result):
                    return outcome
                given_up.append(one.task)
                attempt += 1
        except OGPUError as error:
            if frozen := terms.purse.frozen(given_up):
                error.facts["given_up"] = frozen
            raise

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
        """What one task costs in gas at most, as it is now: published, and confirmed or taken back (wei)."""
        shared = Shared(self.chain, terms.signer.address)
        try:
            expiry = await shared.expiry(terms.source, terms.expires_in)
        finally:
            await shared.close()
        info = TaskInfo(terms.source, TaskInput(terms.function, data), expiry, terms.payment)
        cost = await self.market.estimate(info, terms.signer.address)
        return 2 * cost.gas_cost  # publishing makes a contract, and takes more than all that follows it

    async def _earlier(self, terms: Terms, data: BaseModel | dict[str, Any], key: str | None) -> str:
        """The task of an attempt that another one has followed, in a run before; "" for none."""
        if not await self.knows(key):
            return ""
        receipt = await self.publish(terms, data, key)
        task = self.market.task_of(receipt)
        terms.purse.add(receipt.gas_cost + terms.payment)
        await Settling(self.results, terms).take_back(task)
        return task

    async def _last_attempt(self, terms: Terms, item: int | None) -> int:
        for attempt in range(terms.retry.attempts, 1, -1):
            if await self.knows(terms.key_of(item, attempt)):
                return attempt
        return 1


class _Followed(Exception):
    """Somebody else who does the same work has published it again, so this attempt must not be paid."""


class _Attempt:
    """One publication of a piece of work, and what becomes of it."""

    def __init__(self, jobs: Jobs, terms: Terms, item: int | None, number: int) -> None:
        self._jobs = jobs
        self._terms = terms
        self._key, self._next = terms.key_of(item, number), terms.key_of(item, number + 1)
        self._last = number == terms.retry.attempts  # no other one follows
        self._settling = Settling(jobs.results, terms)
        self._gas_cost = 0
        self._payment = terms.payment  # that is paid, or may be yet
        self.task = ""

    async def outcome(
        self, data: BaseModel | dict[str, Any], published: Callable[[str], None] | None
    ) -> Result | None:
        """Its result, or None when another attempt is to be made; raises what ends the work."""
        hold, purse = self._key or secrets.token_hex(8), self._terms.purse
        async with purse.turn:
            self._gas_cost = await self._most_gas(data)
            await purse.hold(hold, self._payment + self._gas_cost)
        try:
            receipt = await self._published(data)
            self._gas_cost = receipt.gas_cost
            self.task = self._jobs.market.task_of(receipt)
            if published is not None:
                published(self.task)
            return await self._result()
        finally:
            purse.settle(hold, self._gas_cost + self._payment)

    async def _most_gas(self, data: BaseModel | dict[str, Any]) -> int:
        if not self._terms.purse.limited or await self._jobs.knows(self._key):
            return 0
        return await self._jobs.most_gas(self._terms, data)

    async def _published(self, data: BaseModel | dict[str, Any]) -> Receipt:
        """Publish it, once: whatever fails here ends the work, since the task may be there all the same."""
        key = self._key
        for left in range(ASKED_AGAIN - 1, -1, -1):
            try:
                return await self._jobs.publish(self._terms, data, key)
            except TransactionUndetermined as error:
                if not left:
                    raise
                key = str(error.facts["key"])  # by which the same transaction is waited on for
            except JournalError:
                raise  # it may be sent all the same
            except OGPUError as error:  # it was not sent, or was refused
                self._gas_cost, self._payment = error.facts.get("gas_cost", 0), 0
                raise
        raise AssertionError  # the last one returns or raises

    async def _result(self) -> Result | None:
        timeout, wish = self._terms.timeout, replace(self._terms.wish, before_paying=self._check_unfollowed)
        while True:
            try:
                result = await self._jobs.results.get(self.task, timeout, wish)
            except _Followed:
                await self._settling.take_back(self.task)
                return None
            except (TaskCanceled, TaskExpired, WaitTimeout, ContentError) as error:
                if error.facts.get("status") in (TaskStatus.CANCELED, TaskStatus.EXPIRED):
                    self._payment = 0
                if self._last or not await self._is_followed(error):
                    raise
                if await self._is_given_up(error):
                    return None
            else:
                self._gas_cost += result.gas_cost
                self._payment = result.paid
                return result
            timeout = math.inf
            await asyncio.sleep(PAUSE)

    async def _check_unfollowed(self) -> None:
        if not self._last and await self._jobs.knows(self._next):
            raise _Followed

    async def _is_followed(self, error: OGPUError) -> bool:
        """Whether another attempt is made after it; also when it was canceled for that by a run before."""
        return isinstance(error, self._terms.retry.on) or (
            isinstance(error, TaskCanceled) and await self._settling.is_followed(self.task)
        )

    async def _is_given_up(self, error: OGPUError) -> bool:
        end = await self._settling.end(self.task, error)
        if end is End.BACK:
            self._payment = 0
        elif end is End.FROZEN:
            await self._settling.take_back(self.task)
        return end is not End.OPEN
