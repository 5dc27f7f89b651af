"""A pool of worker processes that run the handlers of Python files.

A handler may print, fork, crash or never end: that costs its own task and its own process only. It is not a
sandbox: a handler runs as the provider's user and can read that user's files.

What a handler starts in the background (a model server from `@init()`, say) lives as long as its worker:
it is ended when a task times out or crashes there, and when the pool is closed, not after each task.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ogpu.errors import HandlerCrashed, HandlerError, HandlerTimeout, InvalidInput
from ogpu.provider.child import Child, WorkerSetup, to_the_end
from ogpu.provider.runner import MAX_JSON, decoded, encoded
from ogpu.service.config import WORKER_VARIABLE, handler_environment
from ogpu.service.registry import missing

FIRST_DELAY, MAX_DELAY = 0.5, 30.0  # seconds between attempts to replace a worker that ends without any work

_logger = logging.getLogger("ogpu.provider")


class HandlerPool:
    """Runs the handlers of `files` in `size` processes, one task at a time in each.

    `log` gets what the handlers print, line by line with function and task; `environment` is added to the
    handlers' environment, from which keys and passwords are taken out. Times are in seconds.
    """

    def __init__(
        self,
        files: Sequence[str | os.PathLike[str]],
        *,
        size: int = 2,
        default_timeout: float = 300,
        log: Callable[[str], None] | None = None,
        environment: Mapping[str, str] | None = None,
        max_result: int = MAX_JSON,
    ) -> None:
        if not files or isinstance(files, str):
            raise InvalidInput("A handler pool needs a list of at least one handler file.")
        if size < 1:
            raise InvalidInput(f"A handler pool has at least one process, not {size}.")
        if not (math.isfinite(default_timeout) and default_timeout > 0):
            raise InvalidInput(f"The default timeout is a positive number of seconds, not {default_timeout}.")
        self._size = size
        self._default_timeout = default_timeout
        self._setup = WorkerSetup(
            files=tuple(str(Path(file).resolve()) for file in files),
            environment={**handler_environment(), **(environment or {}), WORKER_VARIABLE: "1"},
            max_result=max_result,
            log=log or _logger.info,
        )
        self._timeouts: dict[str, float | None] = {}
        self._children: set[Child] = set()
        self._idle: deque[Child] = deque()
        self._waiting: deque[asyncio.Future[Child]] = deque()
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the handlers, sorted; empty until the pool is started."""
        return tuple(sorted(self._timeouts))

    async def start(self) -> None:
        """Load the files in every worker; HandlerFileError and HandlerSignatureError say what is wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                launches = [group.create_task(self._launch()) for _ in range(self._size)]
        except BaseException as error:
            await self.close()
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None  # all load the same files, so one reason is enough
            raise
        children = [launch.result() for launch in launches]
        self._timeouts = children[0].timeouts
        self._keepers = [asyncio.create_task(self._keep(child)) for child in children]
        for child in children:
            self._offer(child)

    async def run(self, function_name: str, task_address: str, data: dict[str, Any]) -> dict[str, Any]:
        """Run a handler on a task's data once a worker is free; a HandlerError says why not."""
        if not self._keepers:
            raise HandlerCrashed(
                "The handler pool is not running.", hint="Start it, and do not close it yet."
            )
        if function_name not in self._timeouts:
            raise missing(function_name, self.functions)
        body = encoded(function_name, data)
        limit = self._timeouts[function_name] or self._default_timeout
        child = await self._acquire()
        try:
            async with asyncio.timeout(limit):
                result = await child.run(function_name, f"{function_name} {task_address}", body)
        except TimeoutError:
            await child.end()
            raise HandlerTimeout(
                f"The handler {function_name!r} did not finish within {limit:g} s and was stopped.",
                hint="@expose(timeout=...) allows more.",
                facts={"function": function_name, "timeout": limit},
            ) from None
        except asyncio.CancelledError:
            await child.end()
            raise
        finally:
            self._offer(child)
        return decoded(function_name, result)

    async def close(self) -> None:
        """End all workers and what they started; tasks that run or wait fail with HandlerCrashed."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await to_the_end(self._closing)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _close(self) -> None:
        keepers, self._keepers = self._keepers, []
        for keeper in keepers:
            keeper.cancel()
        self._idle.clear()
        self._fail_waiting(HandlerCrashed("The handler pool was closed."))
        await asyncio.gather(*(child.end() for child in self._children))
        await asyncio.gather(*keepers, return_exceptions=True)
        self._children.clear()

    async def _launch(self) -> Child:
        child = await Child.launch(self._setup)
        self._children.add(child)
        return child

    async def _keep(self, child: Child) -> None:
        """Put another worker in the place of one that ends, for as long as the pool is open."""
        delay = FIRST_DELAY
        while True:
            await child.ended()
            self._children.discard(child)
            if child in self._idle:
                self._idle.remove(child)
            await child.end()
            if child.tasks_begun:
                delay = FIRST_DELAY
            else:
                _logger.warning(
                    "A handler process ended while it had nothing to do; started again in %g s.", delay
                )
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_DELAY)
            child = await self._replacement()
            self._offer(child)

    async def _replacement(self) -> Child:
        delay = FIRST_DELAY
        while True:
            try:
                return await self._launch()
            except HandlerError as error:
                _logger.warning(
                    "A handler process cannot be replaced, next attempt in %g s: %s", delay, error
                )
                if not self._children:  # nobody else can do what waits, so it fails rather than hangs
                    self._fail_waiting(error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY)

    async def _acquire(self) -> Child:
        while self._idle:
            child = self._idle.popleft()
            if child.alive:
                return child
        place: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._offer(place.result())
            raise

    def _offer(self, child: Child) -> None:
        """Give a free worker to the task that waits longest, or keep it for the next one."""
        if not child.alive or not self._keepers:
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(child)
                return
        self._idle.append(child)

    def _fail_waiting(self, error: HandlerError) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)
