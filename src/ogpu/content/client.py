"""The content client: stores and fetches content of one network."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ogpu.content.cid import cid_of_link
from ogpu.content.jsontext import from_json, to_json
from ogpu.content.limits import Limits
from ogpu.content.options import ContentOptions
from ogpu.content.urls import gateway_base, service_url
from ogpu.errors import ClientClosed, ConfigurationError
from ogpu.networks import Network

if TYPE_CHECKING:
    import aiohttp


class AsyncContent:
    """The network's content: stored, and fetched and checked against its CID. No store is trusted."""

    def __init__(
        self,
        *,
        upload_url: str | None = None,
        gateway_urls: Sequence[str] = (),
        limits: Limits | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """For one event loop. `gateway_urls` are tried in order, each with or without the `/ipfs` at its
        end. A `session` that is given stays the caller's to close.
        """
        self._upload_url = service_url(upload_url, "upload_url") if upload_url is not None else None
        self._gateways = tuple(dict.fromkeys(map(gateway_base, gateway_urls)))
        self._limits = limits or Limits()
        self._session = session
        self._owns_session = session is None
        self._closed = False

    @classmethod
    def of_network(cls, network: Network, options: ContentOptions) -> Self:
        """The content of a network, as resolved options say."""
        return cls(
            upload_url=network.upload_url,
            gateway_urls=[network.gateway_url, *options.gateways],
            limits=options.limits,
        )

    async def put_bytes(
        self, data: bytes, filename: str, content_type: str = "application/octet-stream"
    ) -> str:
        """Store `data`; the link under which it is found, checked to name these very bytes."""
        from ogpu.content.store import upload  # aiohttp comes with it, and takes long to import

        if self._upload_url is None:
            raise ConfigurationError(
                "The network has no content service to upload to.", hint="Set upload_url."
            )
        return await upload(
            self._open(),
            self._upload_url,
            data,
            filename=filename,
            content_type=content_type,
            limits=self._limits,
        )

    async def put_json(self, value: Any, filename: str) -> str:
        """Store `value` as compact JSON; `NotJSON`, before anything is sent, names the place that is none."""
        return await self.put_bytes(to_json(value), filename, "application/json")

    async def get_bytes(self, link: str) -> bytes:
        """The file that the CID in `link` (or a bare CID) names, from our gateways, never the link's host."""
        from ogpu.content.fetch import fetch  # aiohttp comes with it, and takes long to import

        cid = cid_of_link(link)
        if not self._gateways:
            raise ConfigurationError("The network has no content gateway.", hint="Set gateway_urls.")
        return await fetch(self._open(), self._gateways, cid, self._limits)

    async def get_json(self, link: str) -> Any:
        """The JSON value of the file that `link` names; `ContentInvalid` when the file is not UTF-8 JSON."""
        from ogpu.content.http import off_loop

        return await off_loop(from_json, await self.get_bytes(link))

    async def close(self) -> None:
        """Close the connections; the client cannot be used again."""
        self._closed = True
        if self._owns_session and self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> aiohttp.ClientSession:
        from ogpu.content.http import open_session

        if self._closed:
            raise ClientClosed("The content client is closed.", hint="Make a new one.")
        if self._session is None:  # only here, since a session needs a running event loop
            self._session = open_session()
        return self._session
