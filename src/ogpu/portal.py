"""The background event loop on which synchronous callers run the asynchronous core."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

from ogpu.errors import ClientClosed


class Closable(Protocol):
    """What a portal holds; it is opened and closed on the portal's loop."""

    def open(self) -> Coroutine[Any, Any, None]: ...

    def close(self) -> Awaitable[None]: ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")

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
        if core is not self._core:
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
