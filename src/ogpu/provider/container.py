"""Drives a source's container over HTTP: a task goes in by POST, its result comes back by a callback."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, web

from ogpu.errors import (
    ContainerUnreachable,
    HandlerCrashed,
    HandlerError,
    HandlerFailed,
    HandlerInputInvalid,
    HandlerMissing,
    HandlerTimeout,
    InvalidInput,
)
from ogpu.provider.runner import MAX_JSON, decoded, encoded
from ogpu.safejson import parse_json
from ogpu.text import printable

POST_TIMEOUT = 30.0  # seconds for the container to accept a task
MAX_ANSWER = 65536  # bytes of what it says when it does not
HTTP_UNPROCESSABLE, HTTP_MISSING, HTTP_ACCEPTED = 422, 404, 202


class ContainerRunner:
    """Runs functions in the container at `url`; `timeout` (seconds) is for one task.

    The callback URL holds a token that only the container is told, since any process on the machine can reach
    the callback server. `callback_advertise` is the host under which the container reaches us when that is
    another than the one we bind, and `callback_token` keeps the URL over restarts.
    """

    def __init__(
        self,
        url: str,
        *,
        callback_host: str = "127.0.0.1",
        callback_port: int = 0,
        timeout: float = 300,
        callback_advertise: str | None = None,
        callback_token: str | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"A container's URL starts with http:// or https://, not {url[:20]!r}.")
        if callback_token is not None and len(callback_token) < 16:
            raise InvalidInput("A callback token has at least 16 characters.")
        self._url = url.rstrip("/")
        self._host = callback_host
        self._port = callback_port
        self._advertise = callback_advertise or callback_host
        self._timeout = timeout
        self._token = callback_token or secrets.token_urlsafe(24)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._server: web.AppRunner | None = None
        self._session: ClientSession | None = None

    @property
    def callback_url(self) -> str:
        """What the container gets as CALLBACK_URL; it is a secret between it and us."""
        if self._server is None:
            raise HandlerCrashed("The callback server is not running.", hint="Call start() first.")
        host = f"[{self._advertise}]" if ":" in self._advertise else self._advertise
        return f"http://{host}:{self._server.addresses[0][1]}/{quote(self._token, safe='')}"

    @property
    def functions(self) -> None:
        """What a container can run is not known until it is asked."""
        return None

    async def start(self) -> None:
        """Open the callback server; the container itself may come later."""
        app = web.Application(client_max_size=MAX_JSON)
        app.router.add_post("/{token}/{task}", self._callback)
        server = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await server.setup()
        try:
            await web.TCPSite(server, self._host, self._port).start()
        except OSError:
            await server.cleanup()
            raise
        self._server = server
        self._session = ClientSession()

    async def run(self, function_name: str, task_address: str, data: dict[str, Any]) -> dict[str, Any]:
        """Hand a task to the container and wait for its callback; a HandlerError says why none came."""
        if self._session is None:
            raise HandlerCrashed("The container runner is not running.", hint="Call start() first.")
        if task_address in self._waiting:
            raise InvalidInput(f"The task {task_address} runs already.")
        body = encoded(function_name, data)
        result: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        result.add_done_callback(_retrieved)
        self._waiting[task_address] = result  # first, since a callback may overtake the answer to the post
        try:
            async with asyncio.timeout(self._timeout):
                await self._post(self._session, function_name, task_address, body)
                return await result
        except TimeoutError:
            raise HandlerTimeout(
                f"No result of {function_name!r} came within {self._timeout:g} s.",
                hint="The container's own log says whether the handler failed.",
                facts={"function": function_name, "timeout": self._timeout},
            ) from None
        finally:
            del self._waiting[task_address]

    async def close(self) -> None:
        """Stop listening; tasks that wait fail with HandlerCrashed."""
        for result in self._waiting.values():
            _fail(result, HandlerCrashed("The container runner was closed."))
        server, self._server = self._server, None
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if server is not None:
            await server.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, session: ClientSession, function: str, task: str, body: bytes) -> None:
        url = f"{self._url}/run/{quote(function, safe='')}/{quote(task, safe='')}"
        headers = {"Content-Type": "application/json"}  # and BytesIO: aiohttp warns of large raw bytes
        limit = ClientTimeout(total=POST_TIMEOUT)
        try:
            async with session.post(
                url, data=BytesIO(body), headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                if answer.status != HTTP_ACCEPTED:
                    raise await _refusal(function, answer)
        except (ClientError, OSError) as error:  # a timeout of the post is an OSError
            raise ContainerUnreachable(
                f"The container did not take the task: {type(error).__name__}.",
                hint="Is it running, and is its port 5555 published?",
                facts={"function": function},
            ) from error

    async def _callback(self, request: web.Request) -> web.Response:
        ours = hmac.compare_digest(request.match_info["token"].encode(), self._token.encode())
        result = self._waiting.get(request.match_info["task"]) if ours else None
        if result is None or result.done():
            raise web.HTTPNotFound
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            _fail(result, HandlerFailed(f"The container's result is over {MAX_JSON} bytes."))
            raise
        try:
            value = decoded(request.match_info["task"], body)
        except HandlerFailed as error:
            _fail(result, error)
            return web.json_response({"detail": error.message}, status=400)
        if not result.done():
            result.set_result(value)
        return web.json_response({"status": "ok"})


async def _refusal(function: str, answer: ClientResponse) -> HandlerError:
    said = await answer.content.read(MAX_ANSWER)
    text = printable(said.decode(errors="replace"), 500)
    facts: dict[str, Any] = {"function": function, "status": answer.status}
    if answer.status == HTTP_MISSING:
        return HandlerMissing(f"The container has no handler {function!r}; it says: {text}", facts=facts)
    if answer.status == HTTP_UNPROCESSABLE:
        facts["reasons"] = _detail(said)
        return HandlerInputInvalid(f"The data does not fit the handler {function!r}: {text}", facts=facts)
    return HandlerFailed(f"The container answered HTTP {answer.status}: {text}", facts=facts)


def _detail(said: bytes) -> Any:
    try:
        answer = parse_json(said)
    except ValueError:
        return []
    return answer.get("detail", []) if isinstance(answer, dict) else []


def _retrieved(result: asyncio.Future[dict[str, Any]]) -> None:
    """Look at the failure of a future that nobody waits for any more, or asyncio complains."""
    if not result.cancelled():
        result.exception()


def _fail(result: asyncio.Future[dict[str, Any]], error: HandlerError) -> None:
    if not result.done():
        result.set_exception(error)
