"""One RPC URL: its HTTP requests, the chain that it serves, and whether it takes batches."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ogpu.errors import (
    ClientClosed,
    NetworkError,
    RPCInvalidResponse,
    RPCRateLimited,
    RPCUnreachable,
    WrongChain,
)
from ogpu.networks import redact
from ogpu.rpc.answers import (
    Request,
    SendAnswer,
    numbered,
    opening,
    quantity,
    raised,
    result,
    send_result,
    takes_no_batches,
)

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 << 20
CONNECTIONS = 100  # to one node; a node that hangs must not take those of the others
SERVER_ERRORS = 500  # HTTP status and above

T = TypeVar("T")
Reader = Callable[[Any, str, int], Any]


class Wire:
    """The connections of one client, and the requests that go on when nobody waits for them."""

    def __init__(self, timeout: float) -> None:
        self.ids = itertools.count(1)
        self.closed = False
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin what goes on when its caller is gone; it is canceled when the wire is closed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Close the connections; requests after it raise `ClientClosed`."""
        self.closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def check_open(self) -> None:
        """Raise `ClientClosed` on a closed wire."""
        if self.closed:
            raise ClientClosed("The client is closed.", hint="Make a new one.")

    async def exchange(self, url: str, body: Any) -> tuple[int, Any]:
        """The HTTP status and the JSON document that a POST is answered with."""
        import orjson

        status, raw = await self._post(url, orjson.dumps(body))
        if status == 429:
            raise RPCRateLimited(f"{redact(url)} asks to slow down (HTTP 429).")
        try:
            return status, orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise RPCInvalidResponse(
                f"{redact(url)} answered HTTP {status} with something that is not JSON: {opening(raw, url)}",
                hint="Check the RPC URL; a proxy or a web page may answer in the node's place.",
                facts={"status": status},
            ) from None

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        try:
            async with self._opened().post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status, await _bounded(response, url)
        except TimeoutError as error:
            raise RPCUnreachable(f"{redact(url)} did not answer within {self._timeout:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RPCUnreachable(
                f"No connection to the node at {redact(url)}: {_reason(error)}.",
                hint="Check that it runs and that the RPC URL is right.",
            ) from None  # the cause may hold the whole URL

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        self.check_open()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS),
            )
        return self._session


class Node:
    """What is known of one node, and how it is asked; its chain is checked before any answer counts."""

    def __init__(self, url: str, chain_id: int, wire: Wire) -> None:
        self.url = url
        self.thrown_out: WrongChain | None = None
        self._chain_id = chain_id
        self._wire = wire
        self._verified = False
        self._check: asyncio.Task[NetworkError | ClientClosed | None] | None = None
        self._takes_batches = True

    async def ask(self, requests: Sequence[Request]) -> list[Any]:
        """The results in order, errors of the node as values."""
        await self._verify()
        answers: list[Any] = []
        while rest := requests[len(answers) :]:
            answers += await self._post(rest if self._takes_batches else rest[:1])
        return answers

    async def offer(self, requests: Sequence[Request]) -> list[SendAnswer]:
        """What the node says to sends, in order, and the error of transport for those without an answer."""
        answers: list[SendAnswer] = []
        try:
            await self._verify()
            while rest := requests[len(answers) :]:
                answers += await self._post(rest if self._takes_batches else rest[:1], send_result)
        except NetworkError as error:
            answers += [error] * (len(requests) - len(answers))
        return answers

    async def _verify(self) -> None:
        """Ask for the chain id once, however many wait for it, and again after the node was unreachable."""
        if self.thrown_out is None and not self._verified:
            if self._check is None or self._check.done():
                self._check = self._wire.start(self._checked())
            check = self._check  # another caller may begin the next one before this one goes on
            await asyncio.wait([check])
            if check.cancelled():
                self._wire.check_open()
            elif error := check.result():
                raise error
        if self.thrown_out is not None:
            raise self.thrown_out

    async def _checked(self) -> NetworkError | ClientClosed | None:
        try:
            (answer,) = await self._post([("eth_chainId", [])])
            served = quantity(raised(answer))
        except (NetworkError, ClientClosed) as error:
            return error
        self._verified = served == self._chain_id
        if not self._verified:
            self.thrown_out = WrongChain(
                f"{redact(self.url)} serves chain {served}, but chain {self._chain_id} is configured.",
                hint="Correct the RPC URL, or select the network that it belongs to.",
                facts={"served": served, "configured": self._chain_id},
            )
            logger.error("a node is not asked any more: %s", self.thrown_out.message)
        return None

    async def _post(self, requests: Sequence[Request], read: Reader = result) -> list[Any]:
        """One HTTP request; no answers at all when it was the first batch to a node that takes none."""
        ids = [next(self._wire.ids) for _ in requests]
        bodies = [
            {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}
            for request_id, (method, params) in zip(ids, requests, strict=True)
        ]
        try:
            status, answer = await self._wire.exchange(self.url, bodies if len(bodies) > 1 else bodies[0])
        except RPCUnreachable:
            self._verified = False  # what answers next may be another node
            raise
        if read is send_result and status >= SERVER_ERRORS:
            raise RPCInvalidResponse(f"{redact(self.url)} answered HTTP {status}.", facts={"status": status})
        if len(ids) == 1:
            return [read(answer, self.url, ids[0])]
        if takes_no_batches(answer, self.url):
            self._takes_batches = False
            return []
        by_id = numbered(answer, self.url, len(ids))
        return [read(by_id.get(request_id), self.url, request_id) for request_id in ids]


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        chunks += chunk
        if len(chunks) > MAX_ANSWER_BYTES:
            raise RPCInvalidResponse(f"{redact(url)} answered more than {MAX_ANSWER_BYTES} bytes.")
    return bytes(chunks)


def _reason(error: BaseException) -> str:
    """Why a connection failed, without the URL that aiohttp puts in its texts."""
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or type(error).__name__
