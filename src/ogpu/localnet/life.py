"""What happens on the network, in lines for a person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ogpu.aio import AsyncClient
from ogpu.errors import NetworkError, OGPUError
from ogpu.protocol.checks import coins
from ogpu.provider.cursor import BlockCursor
from ogpu.rpc.codec import decode_logs
from ogpu.text import printable
from ogpu.types import ResponseStatus, SourceStatus, TaskStatus

POLL = 0.2
PROTOCOL_EVENTS = (
    "SourcePublished",
    "SourceUpdated",
    "SourceStatusChanged",
    "Registered",
    "TaskPublished",
    "Attempted",
    "ResponseSubmitted",
    "ResponseStatusChanged",
    "TaskStatusChanged",
)


def described(name: str, event: dict[str, Any]) -> str | None:
    """One line for an event of Nexus; None for what another line says already."""
    match name:
        case "SourcePublished":
            return f"source {event['source']} published"
        case "SourceUpdated":
            return f"source {event['source']} updated"
        case "SourceStatusChanged":
            return f"source {event['source']} is {SourceStatus(event['status']).name}"
        case "TaskPublished":
            return f"task {event['task']} published on source {short(event['source'])}"
        case "Attempted":
            price = coins(event["suggestedPayment"]).partition(" (")[0]
            return f"task {event['task']} attempted by {short(event['provider'])} for {price}"
        case "ResponseSubmitted":
            return f"task {event['task']} answered by response {short(event['response'])}"
        case "ResponseStatusChanged" if event["status"] == ResponseStatus.CONFIRMED:
            return f"response {event['response']} confirmed"
        case "TaskStatusChanged" if TaskStatus(event["status"]).final:
            return f"task {event['task']} is {TaskStatus(event['status']).name}"
    return None


def short(address: str) -> str:
    """The beginning of an address, enough to tell it from others."""
    return address[:10]


class LifeWatcher:
    """Follows the events of Nexus and reports them, with the notes of others at their place among them."""

    def __init__(self, client: AsyncClient, report: Callable[[str], None]) -> None:
        self._client = client
        self._report = report
        self._notes: list[str] = []
        self._wake = asyncio.Event()

    def note(self, line: str) -> None:
        """Report a line after the events that were there before it."""
        self._notes.append(line)
        self._wake.set()

    def flush(self, count: int | None = None) -> None:
        """Report the first notes that wait, or all of them."""
        notes = self._notes[:count]
        del self._notes[:count]
        for line in notes:
            self._report(line)

    async def run(self, first_block: int) -> None:
        """Report what happens from that block on, until cancelled."""
        cursor = BlockCursor(first_block)
        while True:
            self._wake.clear()
            earlier = len(self._notes)
            try:
                await self._look(cursor)
            except NetworkError:
                pass  # when the node is gone, its own watcher says so
            except OGPUError as error:
                self._report(f"an event could not be shown: {printable(str(error), 300)}")
            self.flush(earlier)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL)

    async def _look(self, cursor: BlockCursor) -> None:
        head = (await self._client.chain.head()).number
        if blocks := cursor.unseen(head, time.monotonic()):
            logs = await self._client.chain.logs("Nexus", PROTOCOL_EVENTS, *blocks)
            cursor.seen(blocks[1])  # before it is shown: what cannot be is not tried for ever
            for name, event in decode_logs("Nexus", logs, self._client.network.contract("NEXUS")):
                if line := described(name, event):
                    self._report(line)
