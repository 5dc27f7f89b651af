"""Waiting for what becomes of tasks; those that are looked at at the same time are read in one batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ogpu.errors import NetworkError, OGPUError, TaskCanceled, TaskExpired, WaitTimeout
from ogpu.protocol import snapshots
from ogpu.protocol.chain import Chain
from ogpu.protocol.views import View
from ogpu.types import Response, TaskSnapshot, TaskStatus

T = TypeVar("T")

CLOCK_SLACK = 15  # seconds that this machine's clock may be ahead of the chain's
FIRST_POLL, LAST_POLL = 0.05, 2.0  # seconds between two looks at a task that is waited for
PATIENCE = 30.0  # seconds of failing reads that a wait outlasts, once it has seen its task
WHY_NO_RESPONSE = {
    TaskStatus.NEW: "No provider has taken it: does one run a function of that name for this source? "
    "explain() says who could. The output of `ogpu up` says why a task is not answered. ",
    TaskStatus.ATTEMPTED: "A provider has taken it and not answered; its handler may be at work, or have "
    "failed: the output of `ogpu up` says so. ",
    TaskStatus.RESPONDED: "It has responses, and none that was taken: its client confirms one, as "
    "result(accept='first') does. ",
}


@dataclass(frozen=True)
class Sight:
    """A task as it was at a block; `time` is the chain's, in Unix seconds."""

    task: TaskSnapshot
    time: int

    @property
    def over(self) -> bool:
        """Whether nobody can answer it any more, though it may not be marked EXPIRED."""
        return self.task.expiry_time <= self.time


@dataclass(frozen=True)
class Look:
    """A task and its responses at one moment; `last` when the time to wait is up."""

    sight: Sight
    responses: list[Response]
    last: bool

    @property
    def task(self) -> TaskSnapshot:
        """The task itself."""
        return self.sight.task

    @property
    def confirmed(self) -> Response | None:
        """The response that the task was finalized with."""
        return next((response for response in self.responses if response.confirmed), None)

    @property
    def all_answered(self) -> bool:
        """Whether everybody who has attempted it has answered."""
        return len(self.responses) == self.task.attempt_count


class Waiting:
    """The tasks that one client waits for, on its event loop."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._asked: list[tuple[str, asyncio.Future[Sight]]] = []
        self._reader: asyncio.Task[None] | None = None

    async def until(self, address: str, timeout: float, decide: Callable[[Look], Awaitable[T | None]]) -> T:
        """Look at a task until `decide` gives something, and return that.

        When nothing can come any more it is `TaskExpired` or `TaskCanceled`, after `timeout` seconds
        `WaitTimeout`.
        """
        loop = asyncio.get_running_loop()
        deadline, poll, seen = loop.time() + timeout, FIRST_POLL, -PATIENCE
        while True:
            try:
                look = await self._look(address, last=loop.time() >= deadline)
                seen = loop.time()
            except NetworkError as error:
                if not error.retryable or loop.time() > min(deadline, seen + PATIENCE):
                    raise
            else:
                if (found := await decide(look)) is not None:
                    return found
                _check_open(look.sight)
                if look.last:
                    raise _late(look.task, timeout)
            await asyncio.sleep(max(0.0, min(poll, deadline - loop.time())))
            poll = min(poll * 1.5, LAST_POLL)

    async def sight(self, address: str) -> Sight:
        """A task at the latest block, read together with all that are asked for meanwhile."""
        future: asyncio.Future[Sight] = asyncio.get_running_loop().create_future()
        self._asked.append((address, future))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_all())
        return await future

    async def _look(self, address: str, last: bool) -> Look:
        sight = await self.sight(address)
        responses: list[Response] = []
        if sight.task.status in (TaskStatus.RESPONDED, TaskStatus.FINALIZED):
            responses = await snapshots.responses_of(self._chain, address, 0, None)
        return Look(sight, responses, last)

    async def _read_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                await self._answer(asked)
            finally:
                for _, future in asked:
                    future.cancel()  # only what is still open, when the client ends

    async def _answer(self, asked: list[tuple[str, asyncio.Future[Sight]]]) -> None:
        addresses = [address for address, _ in asked]

        async def reading(view: View) -> list[Sight]:
            # An idle local chain's last block is old; that the next one's time is ours is only likely.
            now = max(view.block.timestamp, int(time.time()) - CLOCK_SLACK)
            return [Sight(task, now) for task in await snapshots.tasks_in(view, addresses)]

        try:
            found = await self._chain.at_one_block(reading)
        except OGPUError as error:
            if len(asked) > 1:  # one that is no task must not fail the others
                for one in asked:
                    await self._answer([one])
            elif not asked[0][1].done():
                asked[0][1].set_exception(error)
            return
        for (_, future), sight in zip(asked, found, strict=True):
            if not future.done():  # whoever asked may be gone
                future.set_result(sight)


def _check_open(sight: Sight) -> None:
    """Raise what is the end of a task that nobody will answer any more."""
    task = sight.task
    facts = {"task": task.address, "expiry": task.expiry_time}
    if task.status is TaskStatus.CANCELED:
        raise TaskCanceled(f"Task {task.address} was canceled.", facts=facts)
    if task.status is TaskStatus.EXPIRED:
        raise TaskExpired(
            f"Task {task.address} expired; its payment went back to the Vault balance.", facts=facts
        )
    if task.status is not TaskStatus.FINALIZED and sight.over:
        ended = "unconfirmed" if task.status is TaskStatus.RESPONDED else "unanswered"
        raise TaskExpired(
            f"Task {task.address} expired {ended}: it is {task.status.name}.",
            hint="vault.force_release_payment(task) brings the payment back.",
            facts=facts,
        )


def _late(task: TaskSnapshot, timeout: float) -> WaitTimeout:
    return WaitTimeout(
        f"Task {task.address} has no response after {timeout:g} s: it is {task.status.name}."
        if task.status is not TaskStatus.RESPONDED
        else f"No response of task {task.address} was confirmed within {timeout:g} s.",
        hint=f"{WHY_NO_RESPONSE.get(task.status, '')}The task goes on: client.task('{task.address}') comes "
        "back to it, and may wait again.",
        facts={"task": task.address, "status": task.status, "timeout": timeout},
    )
