"""The content client: stores and fetches content of one network."""

from __future__ import annotations

import io
import mimetypes
import os
import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from ogpu import settings
from ogpu.content.addresses import own_origins
from ogpu.content.cache import Cache
from ogpu.content.cid import CID, cid_in_link, cid_of_link
from ogpu.content.files import part_file
from ogpu.content.jsontext import from_json, to_json
from ogpu.content.limits import Limits
from ogpu.content.options import ContentOptions, Folder, KuboNode, parse_store
from ogpu.content.receiver import Receiver
from ogpu.content.threads import in_thread, off_loop
from ogpu.content.urls import gateway_base, public_link, service_url, shown_address
from ogpu.errors import ClientClosed, ConfigurationError, InvalidInput
from ogpu.networks import Network
from ogpu.text import shown

if TYPE_CHECKING:
    import aiohttp

    from ogpu.content.outside import Resolve
    from ogpu.content.store import Store

LONGEST_NAME = 255  # characters of a file's name, in a form of HTTP
_CONTENT_TYPE = re.compile(r"[\w.+-]{1,127}/[\w.+-]{1,127}(?:; ?[\w-]{1,40}=[\w.+-]{1,127})?", re.ASCII)


class AsyncContent:
    """The network's content: stored, and fetched and checked against its CID. No store is trusted.

    `link` is a link with a CID in it, whose host is never asked, or a bare CID: v0 or v1, of a file (raw or
    dag-pb, sha2-256), else `UnsupportedCID` names the kind. Bytes come from the cache, the configured store,
    the network's gateway and the other gateways, in this order, until one has the true ones. A fetch raises
    `ContentMismatch` when one sent others, `ContentTooLarge` over the limits (64 MiB by default), and
    `ContentUnavailable` when none had them in time (60 s by default). `limits` are a `Limits` for one call.
    """

    def __init__(
        self,
        *,
        upload_url: str | None = None,
        gateway_urls: Sequence[str] = (),
        store: str | None = None,
        limits: Limits | None = None,
        cache: Cache | None = None,
        session: aiohttp.ClientSession | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """For one event loop. `gateway_urls` are tried in order, each with or without the `/ipfs` at its
        end; the first is the network's own. A `session` that is given stays the caller's to close. `resolve`
        stands in for the system's resolver.
        """
        self._upload_url = service_url(upload_url, "upload_url") if upload_url is not None else None
        self._gateways = tuple(dict.fromkeys(map(gateway_base, gateway_urls)))
        self._own_origins = own_origins(*self._gateways[:1])
        self._store = parse_store(store)
        self._limits = limits or Limits()
        self._cache = cache
        self._session = session
        self._owns_session = session is None
        self._resolve = resolve
        self._closed = False

    @classmethod
    def of_network(cls, network: Network, options: ContentOptions) -> Self:
        """The content of a network, as resolved options say."""
        size = options.cache_bytes or 0
        return cls(
            upload_url=network.upload_url,
            gateway_urls=[network.gateway_url, *options.gateways],
            store=options.store,
            limits=options.limits,
            cache=Cache(settings.cache_folder() / "content", size) if size else None,
        )

    async def put_bytes(
        self, data: bytes, filename: str = "data", content_type: str = "application/octet-stream"
    ) -> str:
        """Store `data`; the link under which it is found, checked to name these very bytes.

        Raises `ContentTooLarge` before anything is sent, `ContentMismatch` when the store names other bytes,
        `ContentUnavailable` when it took nothing. The same bytes may be stored again and again.
        """
        from ogpu.content.upload import Upload

        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidInput(f"data is {shown(data)}, not bytes.", hint="put_json stores texts and values.")
        upload = Upload(bytes(data), _filename(filename), _content_type(content_type))
        return await self._chosen_store().put(upload, self._limits)

    async def put_json(self, value: Any, filename: str = "data.json") -> str:
        """Store `value` as compact JSON; `NotJSON`, before anything is sent, names the place that is none."""
        return await self.put_bytes(to_json(value), filename, "application/json")

    async def put_file(
        self,
        path: str | PathLike[str],
        *,
        content_type: str | None = None,
        limits: Limits | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> str:
        """Store a file, which is never held whole in memory; its link, checked to name these very bytes.

        `content_type` is guessed from the name when it is None. `progress` is called with the bytes sent and
        the file's size, on the client's own thread; what it raises ends the upload. Raises what `put_bytes`
        raises, and `ContentFileError` when the file cannot be read, is a pipe or a device, or changes
        meanwhile.
        """
        from ogpu.content.upload import FileUpload

        place = _path(path)
        guessed = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
        kind = guessed if content_type is None else _content_type(content_type)
        chosen = _limits(limits, self._limits)
        store = self._chosen_store()
        return await store.put(await in_thread(FileUpload, place, kind, progress), chosen)

    async def get_bytes(
        self, link: str, *, allow_unverified: bool = False, limits: Limits | None = None
    ) -> bytes:
        """The file that the CID in `link` (or a bare CID) names, checked against it.

        With `allow_unverified`, a plain https link with no CID is fetched too, whose bytes cannot be
        checked: from public addresses and port 443 only, else `ContentBlocked`; no redirect is followed.
        """
        sink = io.BytesIO()
        await self._get(link, sink, allow_unverified=allow_unverified, limits=limits)
        return sink.getvalue()

    async def get_json(
        self, link: str, *, allow_unverified: bool = False, limits: Limits | None = None
    ) -> Any:
        """The JSON value of the file that `link` names; `ContentInvalid` when the file is not UTF-8 JSON."""
        data = await self.get_bytes(link, allow_unverified=allow_unverified, limits=limits)
        return await off_loop(from_json, data)

    async def get_file(
        self,
        link: str,
        path: str | PathLike[str],
        *,
        allow_unverified: bool = False,
        limits: Limits | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> int:
        """Fetch into a file, which is never held whole in memory; its size in bytes.

        What is at `path` is replaced once the new file is whole and checked, and stays as it is until then.
        `progress` is called with the bytes so far and their number, None when that is not known, on the
        client's own thread, and begins anew at another gateway; what it raises ends the fetch. Raises what
        `get_bytes` raises, and `ContentFileError` when the file cannot be written.
        """
        place = _path(path)
        with part_file(place) as sink:
            await self._get(
                link, sink, path=place, allow_unverified=allow_unverified, limits=limits, progress=progress
            )
            return sink.seek(0, os.SEEK_END)

    def check_shared(self) -> None:
        """`ConfigurationError` when nobody else could fetch what is stored."""
        if isinstance(self._store, Folder):
            raise ConfigurationError(
                "What is published must be had by others, and the content store is a folder of this machine.",
                hint='Name "kubo:http://127.0.0.1:5001", say, or no store: the network has a service.',
            )

    def expected_link(self, cid: CID) -> str:
        """What `put_bytes` will give; a content service may give another."""
        if self._store is not None or not self._gateways:
            return self._link_of(cid)
        return shown_address(self._gateways[0], cid)

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

    def _chosen_store(self) -> Store:
        from ogpu.content.store import FolderStore, KuboStore, ServiceStore

        session = self._open()
        if isinstance(self._store, KuboNode):
            return KuboStore(session, self._store.url, self._link_of)
        if isinstance(self._store, Folder):
            return FolderStore(self._store.path, self._link_of)
        if self._upload_url is None:
            raise ConfigurationError(
                "The network has no content service to upload to.", hint="Set upload_url."
            )
        return ServiceStore(session, self._upload_url)

    def _link_of(self, cid: CID) -> str:
        return public_link(self._gateways[0], cid) if self._gateways else f"ipfs://{cid}"

    async def _get(
        self,
        link: str,
        sink: BinaryIO,
        *,
        path: Path | None = None,
        allow_unverified: bool,
        limits: Limits | None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """Write what the link names to the sink."""
        from ogpu.content.fetch import Fetch  # aiohttp comes with it, and takes long to import
        from ogpu.content.getting import get_by_cid, get_by_link

        limits = _limits(limits, self._limits)
        session = self._open()
        if not isinstance(link, str):
            raise InvalidInput(f"link is {shown(link)}, not a link or a CID.")
        if not isinstance(allow_unverified, bool):  # "no" would be true
            raise InvalidInput(f"allow_unverified is {shown(allow_unverified)}; it must be True or False.")
        if allow_unverified and "://" in link and cid_in_link(link) is None:
            receiver = Receiver(sink, None, path=path, progress=progress)
            await get_by_link(link, self._own_origins, limits, receiver, self._resolve)
            return
        wanted = Fetch(session, cid_of_link(link), limits, sink, path, progress, self._cache)
        await get_by_cid(wanted, self._store, self._gateways)

    def _open(self) -> aiohttp.ClientSession:
        from ogpu.content.http import open_session

        if self._closed:
            raise ClientClosed("The content client is closed.", hint="Make a new one.")
        if self._session is None:  # only here, since a session needs a running event loop
            self._session = open_session()
        return self._session


def _limits(given: Limits | None, usual: Limits) -> Limits:
    if given is not None and not isinstance(given, Limits):
        raise InvalidInput(f"limits is {shown(given)}, not a Limits.")
    return usual if given is None else given


def _filename(name: str) -> str:
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InvalidInput(
            f"filename is {shown(name)}; it must be printable text of at most {LONGEST_NAME} characters.",
            facts={"field": "filename"},
        )
    return name


def _content_type(kind: str) -> str:
    if not isinstance(kind, str) or not _CONTENT_TYPE.fullmatch(kind):
        raise InvalidInput(
            f"content_type is {shown(kind)}, not one such as 'image/png'.", facts={"field": "content_type"}
        )
    return kind


def _can_be_written(name: str) -> bool:
    """Whether the system has bytes for it; half a surrogate pair has none."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _path(path: str | PathLike[str]) -> Path:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or "\0" in name or not _can_be_written(name):
        raise InvalidInput(f"path is {shown(path)}, not the path of a file.")
    place = Path(name).absolute()
    if not name or not place.name:
        raise InvalidInput(f"path is {shown(path)}, which names no file.")
    return place
