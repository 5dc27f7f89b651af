"""Running a command's work until it ends or somebody stops it."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, Self, TypeVar

from ogpu.cli.screen import logging_to, say

T = TypeVar("T")

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; what libraries warn of is shown on stderr. Ctrl+C, SIGTERM and a closed terminal end
    it with `KeyboardInterrupt`, once all is closed.
    """
    with _Stops() as stops:
        import asyncio

        with logging_to(lambda line: say(line, err=True)):
            try:
                return asyncio.run(stops.until(work))
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None


class _Stops:
    """Takes the signals that stop a command: noted until there is a loop, so that no import and no setting up
    is torn apart, and cancelling the work from then on.
    """

    def __init__(self) -> None:
        self._noted = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True

    async def until(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; it is canceled when a signal comes, or has come."""
        import asyncio

        loop, running = asyncio.get_running_loop(), asyncio.current_task()
        assert running is not None
        for number in self._before:
            loop.add_signal_handler(number, running.cancel)
        if self._noted:
            running.cancel()
        return await work
