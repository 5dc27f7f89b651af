"""The local network's content service: uploads by multipart, downloads by CID, files in one folder."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ogpu.content.cid import CID, CIDBuilder, parse_cid
from ogpu.content.limits import MAX_BYTES
from ogpu.errors import UnsupportedCID
from ogpu.safejson import parse_json

log = logging.getLogger(__name__)

_PIECE = 256 * 1024  # bytes written and hashed at a time, in a thread
_OTHER_FIELDS = 64 * 1024  # bytes allowed around the file: other fields, headers, boundaries
_LINGER = 1.0  # seconds in which a refused sender may finish, or it would miss our answer
_SNIFF = 1024 * 1024  # bytes; a larger file is not looked at to see whether it is JSON

# Content is anybody's: a browser must not take it for a page, nor run what is in it. It never changes.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "public, max-age=31536000, immutable",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def content_app(
    store: Path, *, public_url: str | Callable[[], str], limit: int = MAX_BYTES
) -> web.Application:
    """The service over the folder `store`, which one service at a time may use.

    `public_url` is where it is reached, for the links it gives: a function when that is known only later.
    `limit` is the largest file in bytes.
    """
    service = ContentService(store, public_url, limit)
    app = web.Application(middlewares=[_errors_as_json], handler_args={"lingering_time": _LINGER})
    app.router.add_post("/file/create", service.create)
    app.router.add_get("/ipfs/{cid}", service.read)
    app.on_startup.append(service.prepare)
    return app


@dataclass(frozen=True, slots=True)
class ContentService:
    """The two requests that the service answers."""

    store: Path
    public_url: str | Callable[[], str]
    limit: int

    async def prepare(self, _app: web.Application) -> None:
        """Make the folder, and clear what uploads cut short by a crash left in it."""
        self.store.mkdir(parents=True, exist_ok=True)
        for left_over in self.store.glob("*.part"):
            left_over.unlink(missing_ok=True)

    async def create(self, request: web.Request) -> web.Response:
        """`POST /file/create`: keep the multipart field `file`, and answer with its link."""
        if request.content_type != "multipart/form-data":
            raise _Refused(415, "send multipart/form-data with a field named file")
        if (request.content_length or 0) > self.limit + _OTHER_FIELDS:
            raise _too_large(self.limit)
        upload = await asyncio.to_thread(_Upload.begin, self.store)
        try:
            await self._receive(request, upload)
            cid = await asyncio.to_thread(upload.commit)
        finally:
            upload.discard()
        base = self.public_url if isinstance(self.public_url, str) else self.public_url()
        return web.json_response({"link": f"{base.rstrip('/')}/ipfs/{cid}"}, status=201)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """`GET /ipfs/{cid}`: the file's bytes."""
        cid = _requested(request.match_info["cid"])
        try:
            file = await asyncio.to_thread((self.store / str(cid)).open, "rb")
        except FileNotFoundError:
            raise _Refused(404, f"no content with the CID {cid}") from None
        with file:
            return await _send(request, file, cid)

    async def _receive(self, request: web.Request, upload: _Upload) -> None:
        """Read the whole body, so that the connection can be used again."""
        found = False
        allowance = _OTHER_FIELDS
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise _Refused(415, "a multipart within a multipart is not supported")
                if part.name != "file":
                    allowance -= await _skip(part, allowance)
                elif found:
                    raise _Refused(400, "there are two fields named file")
                else:
                    found = True
                    await self._keep(part, upload)
        except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
            raise _Refused(400, "the body is not proper multipart/form-data") from error
        if not found:
            raise _Refused(400, "there is no field named file")

    async def _keep(self, part: BodyPartReader, upload: _Upload) -> None:
        for header in ("Content-Encoding", "Content-Transfer-Encoding"):
            if part.headers.get(header, "binary").lower() not in ("binary", "8bit", "7bit", "identity"):
                raise _Refused(415, f"a {header} of the file is not supported")
        async for piece in _pieces(part):
            if upload.size + len(piece) > self.limit:
                raise _too_large(self.limit)
            await asyncio.to_thread(upload.write, piece)


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Upload:
    """A file on its way: written beside the others, and given its name when it is whole."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._builder = CIDBuilder()
        self.size = 0

    @classmethod
    def begin(cls, store: Path) -> _Upload:
        handle, name = tempfile.mkstemp(dir=store, suffix=".part")
        return cls(os.fdopen(handle, "wb"), Path(name))

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._builder.feed(piece)
        self._file.write(piece)

    def commit(self) -> CID:
        """Atomic: a reader sees the whole file or none, and whoever else stores it stores the same."""
        self._file.close()
        cid = self._builder.cid()
        self._path.replace(self._path.with_name(str(cid)))
        return cid

    def discard(self) -> None:
        """Nothing to do after a commit."""
        self._file.close()
        self._path.unlink(missing_ok=True)


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The part in pieces large enough to be worth a thread."""
    buffer = bytearray()
    while read := await part.read_chunk(64 * 1024):
        buffer += read
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


async def _skip(part: BodyPartReader, allowance: int) -> int:
    size = 0
    while read := await part.read_chunk():
        size += len(read)
        if size > allowance:
            raise _Refused(413, f"the fields besides file have more than {_OTHER_FIELDS:,} bytes")
    return size


async def _send(request: web.Request, file: BinaryIO, cid: CID) -> web.StreamResponse:
    etag = f'"{cid}"'
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers={**_HEADERS, "ETag": etag})
    size = os.fstat(file.fileno()).st_size
    kind = await asyncio.to_thread(_content_type, file, size)
    response = web.StreamResponse(headers={**_HEADERS, "ETag": etag, "Content-Type": kind})
    response.content_length = size
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    while piece := await asyncio.to_thread(file.read, _PIECE):
        await response.write(piece)
    await response.write_eof()
    return response


def _content_type(file: BinaryIO, size: int) -> str:
    """JSON when all of it is, and else bytes without meaning."""
    if size > _SNIFF:
        return "application/octet-stream"
    try:
        parse_json(file.read().decode())
    except ValueError:
        return "application/octet-stream"
    finally:
        file.seek(0)
    return "application/json"


def _requested(text: str) -> CID:
    """The CID under which a file is kept: v0, of which a dag-pb v1 is only another spelling."""
    try:
        cid = parse_cid(text)
    except UnsupportedCID as error:
        raise _Refused(400, error.message) from error
    return CID(0, cid.codec, cid.digest) if cid.codec == "dag-pb" else cid


def _too_large(limit: int) -> _Refused:
    return _Refused(413, f"the file has more than {limit:,} bytes")


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refused as refused:
        return _error(refused.status, str(refused))
    except web.HTTPException as error:  # no such route, wrong method
        return _error(error.status, error.reason.lower(), error.headers.get("Allow"))
    except ConnectionError:
        return _error(
            400, "the connection was lost"
        )  # nobody hears it; raised, it would be logged as our error
    except OSError as error:
        log.exception("the content store failed")
        return _error(507, f"the store failed: {error.strerror}")


def _error(status: int, message: str, allow: str | None = None) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff"} | ({"Allow": allow} if allow else {})
    return web.json_response({"error": message}, status=status, headers=headers)
