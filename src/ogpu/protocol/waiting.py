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
from ogpu.streams.bells import Bell, Bells
from ogpu.types import Response, TaskSnapshot, TaskStatus

T = TypeVar("T")

SOON = 20  # seconds before a task's expiry from which on the chain's time is asked for exactly
FIRST_POLL, LAST_POLL = 0.05, 2.0  # seconds between two looks at a task that is waited for
LISTENING = 0.4  # seconds between two looks from which on its events are listened to
SELDOM = 15.0  # seconds between two looks while they are, since a node may lag
PATIENCE = 30.0  # seconds of failing reads that are outlasted, once a task was seen
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
    """A task and its responses as they were at a block; `time` is the chain's, in Unix seconds."""

    task: TaskSnapshot
    responses: list[Response]
    time: int

    @property
    def over(self) -> bool:
        """Whether nobody can answer it any more, though it may not be marked EXPIRED."""
        return self.task.expiry_time <= self.time

    @property
    def expires_soon(self) -> bool:
        """Whether it is time to decide what is to be confirmed before the expiry."""
        return self.task.expiry_time - self.time <= SOON


@dataclass(frozen=True)
class Look:
    """What is seen of a task; `last` when the time to wait is up."""

    sight: Sight
    last: bool

    @property
    def task(self) -> TaskSnapshot:
        """The task itself."""
        return self.sight.task

    @property
    def responses(self) -> list[Response]:
        """What was answered, in the order of the attempts."""
        return self.sight.responses

    @property
    def confirmed(self) -> Response | None:
        """The response that the task was finalized with."""
        return next((response for response in self.responses if response.confirmed), None)

    @property
    def all_answered(self) -> bool:
        """Whether everybody who has attempted it has answered."""
        return len(self.responses) == self.task.attempt_count


class _Pace:
    """When a task is looked at next: soon at first, and seldom once its events ring the bell."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._poll = FIRST_POLL
        self._patient_until: float | None = 0.0

    def patient_until(self, now: float) -> float:
        """Until when failing looks are outlasted, which begin now; not at all before the first one."""
        if self._patient_until is None:
            self._patient_until = now + PATIENCE
        return self._patient_until

    def after(self, look: Look) -> float:
        """The seconds until the next look."""
        self._patient_until = None
        poll, self._poll = self._poll, min(self._poll * 1.5, LAST_POLL)
        self._bell.expiry = look.task.expiry_time
        if poll < LISTENING or not self._bell.listen() or look.responses:
            return poll  # with responses, what is decided may change with time, or with others' stake
        return max(LAST_POLL, min(SELDOM, look.task.expiry_time - time.time()))


class Waiting:
    """The tasks that one client waits for, on its event loop."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._bells = Bells(chain.streams)
        self._asked: list[tuple[str, asyncio.Future[Sight]]] = []
        self._reader: asyncio.Task[None] | None = None

    async def until(self, address: str, timeout: float, decide: Callable[[Look], Awaitable[T | None]]) -> T:
        """Look at a task until `decide` gives something, and return that.

        When nothing can come any more it is `TaskExpired` or `TaskCanceled`, after `timeout` seconds
        `WaitTimeout`.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        with self._bells.of(address) as bell:
            pace = _Pace(bell)
            while True:
                last = now() >= deadline
                bell.quiet()
                try:
                    look = Look(await self.sight(address), last)
                except NetworkError as error:
                    if not error.retryable or now() > min(deadline, pace.patient_until(now())):
                        raise
                    pause = LAST_POLL
                else:
                    if (found := await decide(look)) is not None:
                        return found
                    _check_open(look.sight)
                    if look.last:
                        raise _late(look.task, timeout)
                    pause = pace.after(look)
                await bell.wait(max(0.0, min(pause, deadline - now())))

    async def sight(self, address: str) -> Sight:
        """A task at the latest block, read together with all that are looked at meanwhile."""
        future: asyncio.Future[Sight] = asyncio.get_running_loop().create_future()
        self._asked.append((address, future))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_all())
        return await future

    async def sight_at_last(self, address: str) -> Sight:
        """The same, though the node is away for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while True:
            try:
                return await self.sight(address)
            except NetworkError as error:
                if not error.retryable or loop.time() > end:
                    raise
            await asyncio.sleep(LAST_POLL)

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
            tasks = await snapshots.tasks_in(view, addresses)
            responses = await asyncio.gather(*(_responses(view, task) for task in tasks))
            now = view.block.timestamp
            # Our clock says only when to ask: it may be wrong, and a false expiry would cost money.
            if any(now < task.expiry_time <= time.time() + SOON for task in tasks):
                now = await self._chain.time_after(view.block)
            return [Sight(task, found, now) for task, found in zip(tasks, responses, strict=True)]

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


async def _responses(view: View, task: TaskSnapshot) -> list[Response]:
    if task.status not in (TaskStatus.RESPONDED, TaskStatus.FINALIZED):
        return []
    return await snapshots.responses_in(view, task.address, task.attempt_count)


def _check_open(sight: Sight) -> None:
    """Raise what is the end of a task that nobody will answer any more."""
    task = sight.task
    facts = {"task": task.address, "expiry": task.expiry_time, "status": task.status}
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
