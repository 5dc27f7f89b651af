"""What becomes of a task, told on a terminal while somebody waits for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from ogpu.cli.amounts import period
from ogpu.cli.output import word
from ogpu.errors import OGPUError

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

LOOK = 2.0  # seconds between two looks


@contextlib.asynccontextmanager
async def following(
    client: AsyncClient, tasks: Sequence[str], update: Callable[[str], None] | None
) -> AsyncIterator[None]:
    """Keep a line up to date on the last task there is meanwhile; without one nothing is asked."""
    if update is None:
        yield
        return
    import asyncio

    async def look() -> None:
        started = time.monotonic()
        while True:
            with contextlib.suppress(OGPUError, IndexError):  # whoever waits is told; there is none yet
                found = await client.get_task(tasks[-1])
                count = found.attempt_count
                attempts = f", {count} {'attempt' if count == 1 else 'attempts'}" if count else ""
                waited = period(time.monotonic() - started)
                update(f"Task {found.address} is {word(found.status)}{attempts} ({waited}) …")
            await asyncio.sleep(LOOK)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
