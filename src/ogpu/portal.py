"""The background event loop on which synchronous callers run the asynchronous core."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from ogpu.errors import ClientClosed


class Closable(Protocol):
    """What a portal holds; it is opened and closed on the portal's loop."""

    def open(self) -> Coroutine[Any, Any, None]: ...

    def close(self) -> Awaitable[None]: ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")


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
        core, loop = self._running()
        future = asyncio.run_coroutine_threadsafe(use(core), loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosed("The client was closed while a call was on its way.") from None
        except BaseException:
            future.cancel()
            raise

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
            if threading.current_thread() is self._thread:
                raise RuntimeError("A synchronous client cannot be used on its own event loop's thread.")
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
    await core.close()
