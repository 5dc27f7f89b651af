"""A node's `newHeads` over WebSocket, as a hint to look sooner; nothing that it says is believed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ogpu.errors import NetworkError, RPCInvalidResponse, RPCUnreachable
from ogpu.networks import redact
from ogpu.rpc.answers import said
from ogpu.safejson import parse_json

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1 << 16  # a header has about 2,000
CONNECT_TIMEOUT = 10.0  # seconds
CLOSE_TIMEOUT = 1.0  # seconds to take leave
HEARTBEAT = 20.0  # seconds between two pings; a connection without an answer to one is dead
BREATH = 0.01  # seconds between two messages; a node that says much must not make us look all the time
FIRST_PAUSE = 0.5  # seconds until it connects again; doubles
LONGEST_PAUSE = 30.0
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}


class NewHeads:
    """A hint for one follower, to be opened by `async with`. It connects again by itself, and never raises.

    Without URLs, or while no node can be reached, waiting just takes its time.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._news = asyncio.Event()
        self._heard = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> NewHeads:
        if self._urls:
            self._task = asyncio.create_task(self._listen(), name="newHeads")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            (error,) = await asyncio.gather(self._task, return_exceptions=True)
            if isinstance(error, Exception):  # nothing that is expected
                logger.error("listening for new blocks ended: %s", type(error).__name__)

    async def wait(self, timeout: float) -> None:
        """Return at the next new block that a node tells of, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()
        self._news.clear()

    async def _listen(self) -> None:
        """Listen to one node after the other, for as long as each lets us."""
        import aiohttp

        pause = FIRST_PAUSE
        async with aiohttp.ClientSession() as session:
            for url in itertools.cycle(self._urls):
                self._heard = False
                try:
                    await self._listen_to(session, url)
                except NetworkError as error:
                    logger.info("no news of blocks, connecting again in %g s: %s", pause, error)
                pause = FIRST_PAUSE if self._heard else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen_to(self, session: aiohttp.ClientSession, url: str) -> None:
        """Listen until the connection ends; raises why it did."""
        import aiohttp

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                socket = await session.ws_connect(url, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=HEARTBEAT)
            try:
                await socket.send_json(SUBSCRIBE)
                async for message in socket:
                    self._take(message.data, url)
                    await asyncio.sleep(BREATH)
            finally:
                await _closed(socket)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            # Only the kind: aiohttp's words hold the whole URL, which may have a token.
            raise RPCUnreachable(f"No WebSocket to {redact(url)}: {type(error).__name__}.") from None
        raise RPCUnreachable(f"{redact(url)} has closed the WebSocket.")

    def _take(self, data: Any, url: str) -> None:
        """Note that there is news; raises for what is no news, and no answer to the subscription."""
        try:
            message = parse_json(data) if isinstance(data, str | bytes) else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise RPCInvalidResponse(f"{redact(url)} sends what is no message of a subscription.")
        if "error" in message:
            raise RPCInvalidResponse(
                f"{redact(url)} gives no news of blocks: {said(str(message['error']), url)}"
            )
        self._heard = True
        self._news.set()  # also once it is subscribed, for what was missed before


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Take leave; aiohttp would listen to what is still sent, for as long as anything is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close()
