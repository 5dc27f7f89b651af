"""The background event loop on which synchronous callers run the asynchronous core."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import os
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Sequence,
)
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ogpu.errors import ClientClosed


class Closable(Protocol):
    """What a portal holds; it is opened and closed on the portal's loop."""

    def open(self) -> Coroutine[Any, Any, None]: ...

    def close(self) -> Awaitable[None]: ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")

_END: Any = object()


class Portal(Generic[C]):
    """One asynchronous object on one thread's event loop, made at first use, and again after a fork.

    Any thread may call, also one that has a running loop of its own (Jupyter): calls run on the
    portal's thread. Ctrl+C in a waiting caller cancels the call there.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._core: C | None = None
        self._closed = False

    def call(self, use: Callable[[C], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine over the core, and wait for its result; `ClientClosed` when closed meanwhile."""
        if threading.current_thread() is self._thread and self._pid == os.getpid():
            raise RuntimeError("A synchronous client cannot be used on its own event loop's thread.")
        future = self.start(use)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosed("The client was closed while a call was on its way.") from None
        except BaseException:
            future.cancel()
            raise

    def start(self, use: Callable[[C], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Begin to run a coroutine over the core; canceled when the portal is closed."""
        core, loop = self._running()
        return asyncio.run_coroutine_threadsafe(use(core), loop)

    def iterate(self, use: Callable[[C], AsyncIterator[T]]) -> Iterator[T]:
        """What an asynchronous generator over the core gives; closing the iterator closes it."""
        core, _ = self._running()
        return self._each(_Stream(core, use(core)))

    def _each(self, stream: _Stream[T]) -> Generator[T, None, None]:
        try:
            while (item := self.call(stream.next)) is not _END:
                yield item
        finally:
            with contextlib.suppress(ClientClosed):  # which has ended the generator
                self.call(stream.close)

    def close(self) -> None:
        """Close the core and end the thread; calls on their way, and later ones, raise `ClientClosed`."""
        self._forget_parent()
        with self._lock:
            self._closed = True
            core, loop, thread = self._core, self._loop, self._thread
            self._core = self._loop = self._thread = None
        if core is None or loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_closing(core), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running(self) -> tuple[C, asyncio.AbstractEventLoop]:
        self._forget_parent()
        with self._lock:
            if self._closed:
                raise ClientClosed("The client is closed.")
            if self._core is None or self._loop is None:
                self._core = self._make()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="ogpu", daemon=True)
                self._thread.start()
                asyncio.run_coroutine_threadsafe(self._core.open(), self._loop)
            return self._core, self._loop

    def _forget_parent(self) -> None:
        """A forked child has its parent's objects, but not the parent's thread; it starts its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()  # another thread may have held it when the process forked
            _keep_for_ever(self._core, self._loop)
            self._core = self._loop = self._thread = None


class Source(Protocol[T_co]):
    """A stream of a core: entered, then asked for what is there, and closed from anywhere."""

    async def __aenter__(self) -> object: ...

    async def take(self, received: int) -> Sequence[T_co]: ...

    async def aclose(self) -> None: ...


class Stream(Generic[T]):
    """A core's stream for synchronous callers: `for item in stream`; any thread may close it."""

    def __init__(self, portal: Portal[Any], make: Callable[[Any], Source[T]]) -> None:
        self._portal = portal
        self._core, _ = portal._running()
        self._source = make(self._core)
        self._ready: deque[T] = deque()
        self._received = 0

    def __enter__(self) -> Self:
        self._call(self._source.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._ready:
            found = self._call(lambda: self._source.take(self._received))
            self._ready.extend(found)
            self._received += len(found)
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """End it; whoever waits for an item gets none."""
        self._ready.clear()
        with contextlib.suppress(ClientClosed):  # which has ended it
            self._call(self._source.aclose)

    def _call(self, use: Callable[[], Coroutine[Any, Any, R]]) -> R:
        async def in_its_process(core: object) -> R:
            _check_core(core, self._core)
            return await use()

        return self._portal.call(in_its_process)


class _Stream(Generic[T]):
    """An asynchronous generator of a core, asked by one call at a time."""

    def __init__(self, core: object, items: AsyncIterator[T]) -> None:
        self._core = core
        self._items = items
        self._turn = asyncio.Lock()  # a call that was interrupted may still be ending when the next one comes

    async def next(self, core: object) -> T:
        """The next item, or `_END`."""
        async with self._turn:
            self._check(core)
            return await anext(self._items, _END)

    async def close(self, core: object) -> None:
        """End the generator."""
        async with self._turn:
            self._check(core)
            if isinstance(self._items, AsyncGenerator):
                await self._items.aclose()

    def _check(self, core: object) -> None:
        _check_core(core, self._core)


def _check_core(now: object, made_by: object) -> None:
    if now is not made_by:
        raise ClientClosed("An iterator cannot be used in another process than the one that made it.")


def _keep_for_ever(*objects: object) -> None:
    """Let nothing finalise these: a child that closed its parent's sockets would take them out of the
    epoll set that the two share, and the parent would wait in vain."""
    for each in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


async def _closing(core: Closable) -> None:
    """Cancel what is on its way, and close the core."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await core.close()
