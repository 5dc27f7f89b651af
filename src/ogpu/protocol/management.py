"""The management service: what it says of a task's confirmed response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ogpu.errors import ClientClosed, ManagementUnavailable
from ogpu.networks import redact
from ogpu.safejson import parse_json

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 4 << 20


class Management:
    """A connection to a network's management service."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close the connections; calls after it raise `ClientClosed`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def confirmed_response(self, task: str) -> dict[str, Any] | None:
        """The service's `data` object for a task; None when it has none with an address."""
        import aiohttp

        if self._closed:
            raise ClientClosed("The client is closed.", hint="Make a new one.")
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout))
        where = redact(self._url)
        try:
            async with self._session.get(f"{self._url}/api/tasks/{task}", allow_redirects=False) as response:
                raw = await response.content.read(MAX_ANSWER_BYTES + 1)
                while len(raw) <= MAX_ANSWER_BYTES and (more := await response.content.read(1 << 16)):
                    raw += more
                status = response.status
        except TimeoutError:
            raise ManagementUnavailable(f"{where} did not answer within {self._timeout:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ManagementUnavailable(
                f"No connection to the management service at {where}: {type(error).__name__}.",
                hint="Try again later; get_task_responses() asks the chain itself.",
            ) from None
        if status == 404:
            return None
        if status != 200 or len(raw) > MAX_ANSWER_BYTES:
            raise ManagementUnavailable(f"{where} answered HTTP {status} ({len(raw)} bytes or more).")
        try:
            document = parse_json(raw)
        except ValueError:
            raise ManagementUnavailable(f"{where} answered something that is not JSON.") from None
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("address"), str):
            return None
        return data
