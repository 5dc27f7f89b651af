"""One RPC URL: its HTTP requests, the chain that it serves, and whether it takes batches."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ogpu.errors import (
    ClientClosed,
    NetworkError,
    RPCInvalidResponse,
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
    rate_limited,
    result,
    send_result,
)
from ogpu.rpc.limits import Limit
from ogpu.rpc.reading import SERVER_ERRORS, TOO_LARGE, Reading, Reply, refusal_of
from ogpu.rpc.sizes import Sizes

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 32 << 20  # of one HTTP answer
TOO_MANY = 429  # HTTP status
LONGEST_HEADER = 100  # characters
CONNECTIONS = 100  # to one node; a node that hangs must not take those of the others

T = TypeVar("T")


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

    async def exchange(self, url: str, body: Any) -> Reply:
        """What a POST is answered with."""
        import orjson

        response, raw = await self._post(url, orjson.dumps(body))
        part = len(raw) / MAX_ANSWER_BYTES
        if response.status == TOO_MANY:
            raise rate_limited(url, retry_after(response.headers.get("Retry-After"), datetime.now(UTC)))
        if part > 1:
            return Reply(response.status, None, part)
        try:
            return Reply(response.status, orjson.loads(raw), part)
        except orjson.JSONDecodeError:
            if response.status == TOO_LARGE:
                return Reply(response.status, None, part)
            raise RPCInvalidResponse(
                f"{redact(url)} answered HTTP {response.status} with something that is not JSON: "
                f"{opening(raw, url)}",
                hint="Check the RPC URL; a proxy or a web page may answer in the node's place.",
                facts={"status": response.status},
            ) from None

    async def _post(self, url: str, body: bytes) -> tuple[aiohttp.ClientResponse, bytes]:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        try:
            async with self._opened().post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response, await _bounded(response)
        except TimeoutError as error:
            raise RPCUnreachable(
                f"{redact(url)} did not answer within {self._timeout:g} s.",
                hint="Try again later, with another RPC URL, or with a longer timeout.",
            ) from error
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
        self.sizes = Sizes()

    async def ask(self, requests: Sequence[Request]) -> list[Any]:
        """The results in order, errors of the node as values."""
        await self._verify()
        return await Reading(requests, self.url, self.sizes, MAX_ANSWER_BYTES, self._exchange).run()

    async def offer(self, requests: Sequence[Request]) -> list[SendAnswer]:
        """What the node says to sends, in order, and the error of transport for those without an answer."""
        answers: list[SendAnswer] = []
        try:
            await self._verify()
            most = len(requests)
            while rest := requests[len(answers) :]:
                part = rest[: min(most, self.sizes.most)]
                answers += (served := await self._send(part))
                most = most if served else max(1, len(part) // 2)
        except NetworkError as error:
            answers += [error] * (len(requests) - len(answers))
        return answers

    async def _send(self, requests: Sequence[Request]) -> list[SendAnswer]:
        """One HTTP request; no answers at all when the node refused it as a batch, or as so large a one."""
        ids, reply = await self._exchange(requests)
        _whole(reply, self.url)
        if reply.status >= SERVER_ERRORS:
            raise RPCInvalidResponse(
                f"{redact(self.url)} answered HTTP {reply.status}.", facts={"status": reply.status}
            )
        if len(ids) == 1:
            return [send_result(reply.document, self.url, ids[0])]
        if refusal := refusal_of(reply, len(ids)):
            if refusal.limit is Limit.RATE:
                raise rate_limited(self.url)
            if refusal.clear:
                self.sizes.refused(len(ids), refusal.most)
            return []
        by_id = numbered(reply.document, self.url)
        return [send_result(by_id.get(request_id), self.url, request_id) for request_id in ids]

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
            ids, reply = await self._exchange([("eth_chainId", [])])
            served = quantity(raised(result(_whole(reply, self.url).document, self.url, ids[0])))
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

    async def _exchange(self, requests: Sequence[Request]) -> tuple[list[int], Reply]:
        """One HTTP request: the ids in it, and its answer."""
        ids = [next(self._wire.ids) for _ in requests]
        bodies = [
            {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}
            for request_id, (method, params) in zip(ids, requests, strict=True)
        ]
        try:
            reply = await self._wire.exchange(self.url, bodies if len(bodies) > 1 else bodies[0])
        except RPCUnreachable:
            self._verified = False  # what answers next may be another node
            raise
        if reply.status == TOO_LARGE and len(ids) == 1 and reply.document is None:
            raise RPCInvalidResponse(
                f"{redact(self.url)} answered HTTP 413: the request is too large for it.",
                hint="Try another RPC URL.",
                facts={"status": TOO_LARGE},
            )
        return ids, reply


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """An answer's bytes, or a little more of them than the limit."""
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        chunks += chunk
        if len(chunks) > MAX_ANSWER_BYTES:
            break
    return bytes(chunks)


def _whole(reply: Reply, url: str) -> Reply:
    """A reply, unless it was over the limit where no long one is due."""
    if reply.too_large:
        raise RPCInvalidResponse(f"{redact(url)} answered more than {MAX_ANSWER_BYTES} bytes.")
    return reply


def retry_after(header: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for, as a number or as a date; None when it is odd."""
    if not header or len(header) > LONGEST_HEADER:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


def _reason(error: BaseException) -> str:
    """Why a connection failed, without the URL that aiohttp puts in its texts."""
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or type(error).__name__
