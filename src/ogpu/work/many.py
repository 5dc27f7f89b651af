"""Many pieces at a time: an item is taken when there is room, a result given when its turn comes."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ogpu.errors import BudgetExceeded

Item = TypeVar("Item")
T = TypeVar("T")

_END: Any = object()


async def mapped(
    items: Iterable[Item] | AsyncIterable[Item],
    work: Callable[[int, Item], Awaitable[T]],
    end: Callable[[], Awaitable[None]],
    *,
    in_flight: int,
    ordered: bool,
    return_exceptions: bool,
) -> AsyncGenerator[T | Exception, None]:
    """What becomes of each item; at most `in_flight` are begun whose result was not taken yet.

    When the items themselves fail, or the budget is spent, what was begun before is given first, and then
    that is raised, also with `return_exceptions`. Leaving it stops the waiting; what is on the network goes
    on.
    """
    source, more = _each(items), True
    taking: asyncio.Future[Any] | None = None
    begun: list[asyncio.Future[T]] = []
    count = 0
    failure: BaseException | None = None
    try:
        while True:
            if more and taking is None and len(begun) < in_flight:
                taking = asyncio.ensure_future(_next(source))
            awaited: list[asyncio.Future[Any]] = begun[:1] if ordered else list(begun)
            awaited += [taking] if taking and more else []
            if not awaited:
                break
            done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if taking is not None and taking.done():
                failure = failure or taking.exception()
                if failure is None and (item := taking.result()) is not _END:
                    begun.append(asyncio.ensure_future(work(count, item)))
                    count += 1
                else:
                    more = False
                taking = None
            for future in [each for each in begun if each in done]:
                begun.remove(future)
                error = future.exception()
                if isinstance(error, BudgetExceeded):
                    failure, more = failure or error, False
                elif error is None:
                    yield future.result()
                elif return_exceptions and isinstance(error, Exception):
                    yield error
                else:
                    raise error
        if failure is not None:
            raise failure
    finally:
        await _stopped([*begun, *([taking] if taking else [])])
        await source.aclose()
        await end()


async def _stopped(futures: list[asyncio.Future[Any]]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


async def _next(source: AsyncGenerator[Item, None]) -> Item:
    """The next item, or `_END`."""
    return await anext(source, _END)


async def _each(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    """The items, whatever they come from; what may block is asked in a thread of its own."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, Sequence):
        for item in items:
            yield item
    else:
        thread = _Asking(iter(items))
        try:
            while (found := await thread.next()) is not _END:
                yield found
        finally:
            thread.close()


class _Asking:
    """An iterator in a daemon thread, which asks it for one item at a time, and only when it is wanted."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._wanted: queue.SimpleQueue[asyncio.Future[Any] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="ogpu items", daemon=True).start()

    async def next(self) -> Any:
        """The next item, or `_END`; raises what the iterator raises."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._wanted.put(future)
        return await future

    def close(self) -> None:
        """End the thread, once the iterator has answered, and close a generator there."""
        self._wanted.put(None)

    def _run(self) -> None:
        while (future := self._wanted.get()) is not None:
            try:
                answer: tuple[Any, BaseException | None] = next(self._items, _END), None
            except BaseException as error:  # noqa: BLE001 - it is raised where the item was asked for
                answer = None, error
            try:
                self._loop.call_soon_threadsafe(_answer, future, *answer)
            except RuntimeError:  # the loop was closed meanwhile
                break
        if close := getattr(self._items, "close", None):
            close()


def _answer(future: asyncio.Future[Any], item: Any, error: BaseException | None) -> None:
    if future.done():  # nobody wants it any more
        return
    if error is None:
        future.set_result(item)
    else:
        future.set_exception(error)
