"""Work that would keep the event loop busy, done in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_BIG = 1024 * 1024  # bytes that take about a millisecond to hash

Result = TypeVar("Result")
P = ParamSpec("P")


async def in_thread(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """`function(…)` in a thread. Whoever is cancelled meanwhile waits for it: it may be writing to a file."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    stopped: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is not None:
        work.exception()  # seen, or asyncio would tell of it
        raise stopped
    return work.result()


async def off_loop(function: Callable[[bytes], Result], data: bytes) -> Result:
    """`function(data)`, in a thread when it would keep the event loop busy for long."""
    if len(data) <= _BIG:
        return function(data)
    return await asyncio.to_thread(function, data)
