"""The provider: watches for sources and tasks, attempts, runs handlers, uploads and answers.

It takes `capacity` tasks at a time; further ones wait in a queue of bounded length, and while that is full
the chain is not read on. Network failures delay a task, they do not lose it: a step that failed is tried
again until the task expires, or a few times when the network answers but refuses. A handler that fails is not
tried again. After a restart the chain tells what is still to be answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from ogpu.aio import AsyncClient
from ogpu.errors import (
    ContentInvalid,
    ContractReverted,
    HandlerMissing,
    NetworkError,
    OGPUError,
    TaskExpired,
    TransactionUndetermined,
)
from ogpu.protocol.checks import coins
from ogpu.provider.cursor import BlockCursor
from ogpu.provider.runner import Runner
from ogpu.rpc.codec import decode_logs
from ogpu.text import printable
from ogpu.tx.state import Policy
from ogpu.types import DeliveryMethod, Environment, ResponseParams, SourceStatus, TaskSnapshot, TaskStatus

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

P = ParamSpec("P")
T = TypeVar("T")

WATCHED = ("SourcePublished", "TaskPublished")
LOG_RANGE = 1000  # blocks a query; public nodes refuse long ranges
CAPACITY = 16  # tasks at a time
QUEUED = 1000  # sources and tasks that may wait
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0  # seconds before a step is tried again; doubled each time
REFUSED_TRIES = 5  # of a step that the network answers with an error
ALL_ENVIRONMENTS = Environment.CPU | Environment.NVIDIA | Environment.AMD


@dataclass(frozen=True)
class Order:
    """What a task asks for, from its config."""

    function_name: str
    data: dict[str, Any]


class Job(NamedTuple):
    """A source to register to, and then a task of it to answer, if one is named."""

    source: str
    task: str | None = None


def parse_order(config: object) -> Order:
    """The order in a task's config; a stranger wrote it."""
    if not isinstance(config, dict):
        raise ContentInvalid("The task's config is not a JSON object.")
    function_name, data = config.get("function_name"), config.get("data")
    if not isinstance(function_name, str) or not isinstance(data, dict):
        raise ContentInvalid("The task's config has no function_name (text) or no data (object).")
    return Order(function_name, data)


def chosen_environment(offered: Environment, own: Environment) -> Environment | None:
    """The one environment to register with: the lowest bit that both have."""
    for environment in (Environment.CPU, Environment.NVIDIA, Environment.AMD):
        if environment & offered & own:
            return environment
    return None


# After a reorganisation another task may have the same address: what is still right to send, a provider
# learns from the chain's events, and nothing that was mined is sent again.
PROVIDER_POLICY = Policy(finality=0)


class Provider:
    """One provider of a network, for as long as `run` runs; its client needs `PROVIDER_POLICY`.

    `runner` runs the functions of all sources; `containers` holds runners of single sources by
    address, which then take precedence. `report` gets a line for whatever an operator should see.
    """

    def __init__(
        self,
        client: AsyncClient,
        account: Signer,
        runner: Runner,
        *,
        report: Callable[[str], None],
        containers: Mapping[str, Runner] | None = None,
        environments: Environment = ALL_ENVIRONMENTS,
        poll: float = 1.0,
        first_block: int = 0,
        capacity: int = CAPACITY,
    ) -> None:
        self._client = client
        self._account = account
        self._runner = runner
        self._containers = dict(containers or {})
        self._environments = environments
        self._poll = poll
        self._cursor = BlockCursor(first_block)
        self._capacity = capacity
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUED)
        self._taken: set[Job] = set()  # queued or being done
        self._registered: set[str] = set()
        self._registering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refusals: dict[str, str] = {}
        self._line = report

    async def run(self) -> None:
        """Serve until cancelled; what fails is reported, and does not end it.

        `ConfigurationError`, at once, when its content store is a folder, which clients cannot read.
        """
        self._client.content.check_shared()  # or nobody could read the answers
        async with asyncio.TaskGroup() as group:
            for _ in range(self._capacity):
                group.create_task(self._work())
            group.create_task(self._watch())

    def _report(self, line: str) -> None:
        self._line(f"provider {self._account.address[:10]}: {printable(line, 500)}")

    async def _watch(self) -> None:
        failing = False
        while True:
            try:
                await self._look()
                if failing:
                    self._report("reads the chain again")
                failing = False
                await asyncio.sleep(self._poll)
            except OGPUError as error:
                if not failing:
                    self._report(f"cannot read the chain, tries on: {error}")
                failing = True
                await asyncio.sleep(max(FIRST_PAUSE, self._poll))

    async def _look(self) -> None:
        """Queue what the blocks since the last look ask for."""
        head = (await self._client.chain.head()).number
        while blocks := self._cursor.unseen(head, time.monotonic()):
            first, last = blocks[0], min(blocks[1], blocks[0] + LOG_RANGE - 1)
            logs = await self._client.chain.logs("Nexus", WATCHED, first, last)
            for _, event in decode_logs("Nexus", logs, self._client.network.contract("NEXUS")):
                job = Job(event["source"], event.get("task"))
                if job not in self._taken:
                    self._taken.add(job)
                    await self._queue.put(job)
            self._cursor.seen(last)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                await self._do(job)
            except Exception as error:  # noqa: BLE001 - one task must not end the service of all others
                self._report(f"{job} ended with a defect of this provider: {error!r}")
            finally:
                self._taken.discard(job)

    async def _do(self, job: Job) -> None:
        if await self._join(job.source) and job.task is not None:
            try:
                await self._serve(job.task)
            except OGPUError as error:
                self._report(f"task {job.task} is not answered: {type(error).__name__}: {error}")

    async def _patiently(
        self, what: str, step: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A step's result, tried again after failures of the network."""
        pause, tries = FIRST_PAUSE, 1
        while True:
            try:
                return await step(*args, **kwargs)
            except OGPUError as error:
                away = isinstance(error, NetworkError) and error.retryable
                refused = isinstance(error, NetworkError | TransactionUndetermined) or error.retryable
                if not away and (not refused or tries >= REFUSED_TRIES):
                    raise
                if pause == FIRST_PAUSE:
                    self._report(f"{what} is delayed: {error}")
                tries += not away
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    async def _join(self, source: str) -> bool:
        """Whether the provider is registered to a source, which it sees to when it can."""
        async with self._registering[source]:
            if source in self._registered:
                return True
            try:
                refusal = await self._patiently(f"registering to source {source}", self._register, source)
            except OGPUError as error:
                refusal = str(error)
            if refusal is None:
                self._registered.add(source)
            elif self._refusals.get(source) != refusal:  # once, and not with each of its tasks
                self._refusals[source] = refusal
                self._report(f"cannot register to source {source}: {refusal}")
            return refusal is None

    async def _register(self, address: str) -> str | None:
        """Register to a source, unless that is so; returns why it cannot."""
        source = self._client.source(address)
        terms, vault, own = await source.snapshot(), self._client.vault, self._account.address
        environment = chosen_environment(terms.environments, self._environments)
        if await source.registrant_id(own):
            return None
        if terms.status is not SourceStatus.ACTIVE:
            return "it is inactive"
        if environment is None:
            return "it offers none of this provider's environments"
        lockup = await vault.lockup_of(own)
        needed = max(await vault.min_lockup_per_source(), terms.min_available_lockup)
        if lockup < needed:
            return f"its stake is {coins(lockup)}, and {coins(needed)} is needed"
        await self._client.nexus.register(address, own, environment, private_key=self._account)
        self._report(f"registered to source {address} with {environment.name}")
        return None

    async def _serve(self, address: str) -> None:
        """Take one task from its publication to our response; why there is none is raised or reported."""
        task = await self._patiently(f"task {address}", self._client.get_task, address)
        left = task.expiry_time - time.time()
        if task.status.final or left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                await self._answer(task)
        except TimeoutError:
            raise TaskExpired("It expired before its answer was there; what still ran was stopped.") from None

    async def _answer(self, task: TaskSnapshot) -> None:
        name, own = f"task {task.address}", self._account.address
        if await self._patiently(name, self._client.task(task.address).response_of, own):
            return
        order = parse_order(await self._patiently(name, self._client.content.get_json, task.config_url))
        runner = self._containers.get(task.source, self._runner)
        if runner.functions is not None and order.function_name not in runner.functions:
            raise HandlerMissing(
                f"No handler is called {order.function_name!r}; there are: {', '.join(runner.functions)}."
            )
        if not await self._attempt(task):
            return
        started = time.monotonic()
        result = await self._patiently(name, runner.run, order.function_name, task.address, order.data)
        took = time.monotonic() - started
        link = await self._patiently(name, self._client.content.put_json, result, "response.json")
        if await self._submit(task, link):
            self._report(f"{name}: {order.function_name} answered in {took * 1000:.0f} ms")

    async def _attempt(self, task: TaskSnapshot) -> bool:
        """Bid for a task; False when that is too late, which is reported."""
        name, own = f"task {task.address}", self._account.address
        has_attempted, attempt = self._client.task(task.address).attempter_id, self._client.nexus.attempt
        if await self._patiently(name, has_attempted, own):
            return True
        try:
            await self._patiently(name, attempt, task.address, own, task.payment, private_key=self._account)
        except ContractReverted:
            if await self._patiently(name, has_attempted, own):
                return True  # an earlier transaction of ours was mined after all
            if not await self._too_late(task):
                raise
            return False
        return True

    async def _submit(self, task: TaskSnapshot, link: str) -> bool:
        """Give the answer; False when that is too late, which is reported."""
        name = f"task {task.address}"
        if await self._too_late(task, link):
            return False
        try:
            params = ResponseParams(task.address, self._account.address, link, task.payment)
            submit = self._client.nexus.submit_response
            await self._patiently(name, submit, params, private_key=self._account)
        except ContractReverted:
            response_of = self._client.task(task.address).response_of
            if await self._patiently(name, response_of, self._account.address):
                return True  # an earlier transaction of ours was mined after all
            if not await self._too_late(task, link):
                raise
            return False
        return True

    async def _too_late(self, task: TaskSnapshot, link: str | None = None) -> bool:
        """Whether the contract refuses our part now, because of what others did; that is reported."""
        name = f"task {task.address}"
        now = await self._patiently(name, self._client.get_task, task.address)
        first_wins = task.delivery_method is DeliveryMethod.FIRST_RESPONSE
        if now.status in (TaskStatus.CANCELED, TaskStatus.EXPIRED):
            self._report(f"{name}: it is {now.status.name}")
        elif now.status.final or (first_wins and now.status is TaskStatus.RESPONDED):
            self._report(f"{name}: another provider was first")
        elif link is not None and await self._patiently(
            name, self._client.task(task.address).is_already_submitted, link
        ):
            self._report(f"{name}: another provider gave the same answer first")
        else:
            return False
        return True
