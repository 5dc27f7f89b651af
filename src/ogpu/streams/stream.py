"""A stream of typed events, as its user holds it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections import deque
from copy import copy
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ogpu.errors import OGPUError
from ogpu.events import ProtocolEvent
from ogpu.streams.watch import Watch

E = TypeVar("E", bound=ProtocolEvent)


class Member(Protocol):
    """Somebody who reads the feed."""

    def end(self, error: OGPUError | None) -> None:
        """Let it end, with this error if there is one."""


class Registry(Protocol):
    """Who knows all that read."""

    def enter(self, member: Member) -> None:
        """Somebody begins to read."""

    def leave(self, member: Member) -> None:
        """Somebody reads no more."""

    async def ended(self) -> None:
        """Wait until nothing is left that was for those who have left."""


class Reader:
    """Reads for one stream, one call at a time, and can be ended from outside."""

    def __init__(self, registry: Registry, watch: Watch) -> None:
        self._registry = registry
        self._watch = watch
        self.ready: deque[Any] = deque()
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._started = self._ended = False
        self._error: OGPUError | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin where the chain is now, or at the block that was asked for; once."""
        await self._run(more=False)

    async def fill(self) -> None:
        """Wait until there are events, or no more will come; raises what has ended it, once."""
        while not self.ready:
            self._raise()
            if self._ended:
                return
            await self._run(more=True)
            if self._watch.over:
                await self.close()

    async def close(self) -> None:
        """End it, and leave nothing behind."""
        self.end(None)
        async with self._turn:
            await self._leave()

    def end(self, error: OGPUError | None) -> None:
        """Let it end, for whoever waits with this error, if there is one."""
        if not self._ended:
            self._ended, self._error = True, error
            self._registry.leave(self)
            if self._running is not None:
                self._running.cancel()

    async def _run(self, *, more: bool) -> None:
        async with self._turn:
            self._raise()
            if self._ended:
                return
            self._running = asyncio.create_task(self._step(more=more))
            try:
                await self._running
            except asyncio.CancelledError:
                if not self._was_ended():
                    raise
                self._raise()
            except OGPUError:
                self.end(None)
                await self._leave()
                raise
            finally:
                self._running = None

    async def _step(self, *, more: bool) -> None:
        if not self._started:
            self.loop = asyncio.get_running_loop()
            self._registry.enter(self)
            await self._watch.start()
            self._started = True
        if more:  # what is found is noted at once: the caller may be interrupted just then
            self.ready.extend(await self._watch.more())

    async def _leave(self) -> None:
        await self._watch.close()
        await self._registry.ended()

    def _was_ended(self) -> bool:
        """Whether a call was stopped because the stream ended, and not because its caller was cancelled."""
        task = asyncio.current_task()
        return self._ended and not (task is not None and task.cancelling())

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise copy(error) from error


class AsyncEventStream(Generic[E]):
    """Events in the chain's order, each once: `async for event in stream`.

    It begins where it is entered (`async with`), or with the first event that is asked for. An event that a
    reorganisation has taken back comes again with `removed` set, before those that replace it. When it ends
    by an error, `from_block` of a new one goes on where it was. Leaving it, or letting it go, ends it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._last: list[E] = []
        self._taken = 0
        weakref.finalize(self, _let_go, reader, os.getpid()).atexit = False

    async def __aenter__(self) -> Self:
        await self._reader.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        await self._reader.fill()
        if not self._reader.ready:
            raise StopAsyncIteration
        event: E = self._reader.ready.popleft()
        return event

    async def take(self, received: int | None = None) -> list[E]:
        """All events that are there; at least one, which is waited for, and none when it has ended.

        `received`: how many the caller has got by earlier calls. When that is less than were given, the last
        ones are given again: the caller was interrupted just then.
        """
        if received is None or received == self._taken:
            await self._reader.fill()
            self._last = list(self._reader.ready)
            self._reader.ready.clear()
            self._taken += len(self._last)
        return self._last

    async def aclose(self) -> None:
        """End it; whoever waits for an event gets none."""
        self._reader.ready.clear()
        await self._reader.close()


def _let_go(reader: Reader, process: int) -> None:
    """End what nobody holds; in any thread, since that is where garbage is collected."""
    loop = reader.loop
    if loop is None or os.getpid() != process:
        return

    def close() -> None:
        reader.closing = loop.create_task(reader.close())

    with contextlib.suppress(RuntimeError):  # the loop is closed, and so all that it ran
        loop.call_soon_threadsafe(close)
