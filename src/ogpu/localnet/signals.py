"""Stopping on request: a signal ends what is waited for, and never the cleaning up after it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class StopSignals:
    """Takes Ctrl+C, SIGTERM and a closed terminal as requests, for the rest of this process's life."""

    def __init__(self) -> None:
        self._received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in STOPPING:
            if asyncio.get_running_loop().remove_signal_handler(number):
                signal.signal(number, signal.SIG_IGN)  # all is stopped: nothing is left to interrupt

    def _receive(self, number: int) -> None:
        if not self._received.done():
            self._received.set_result(number)

    async def first_of(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The work's result; on a signal the work is cancelled, and `Stopped` is raised when it has ended."""
        task = asyncio.create_task(work)
        either: list[asyncio.Future[Any]] = [task, self._received]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._received.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Stopped(self._received.result())
