"""Uploads: to the network's service, a Kubo node or a folder; the link names the very bytes sent."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlencode

import aiohttp

from ogpu.content.cid import CID, cid_of_link, parse_cid
from ogpu.content.files import file_errors, part_file
from ogpu.content.http import PLAIN, Failure, broken, refused, said, timeouts, unavailable, within
from ogpu.content.limits import Limits
from ogpu.content.threads import in_thread
from ogpu.content.upload import Upload
from ogpu.content.urls import origin
from ogpu.errors import ContentMismatch, ContentTooLarge, UnsupportedCID
from ogpu.safejson import parse_json

_LONGEST_ANSWER = 64 * 1024  # bytes; it holds one link

# The layout of `cid_of`, whatever the node's configuration says. An option that a version does not know is
# passed over. https://docs.ipfs.tech/reference/kubo/rpc/#api-v0-add
_ADD = {
    "cid-version": "0",
    "raw-leaves": "false",
    "chunker": "size-262144",
    "hash": "sha2-256",
    "max-file-links": "174",
    "trickle": "false",
    "inline": "false",
    "wrap-with-directory": "false",
    "pin": "true",
    "progress": "false",
}


class Store(Protocol):
    """Where uploads go."""

    async def put(self, upload: Upload, limits: Limits) -> str:
        """The link under which the upload can now be had."""


@dataclass(frozen=True, slots=True)
class ServiceStore:
    """The network's content service. The same bytes get the same CID, so a lost answer does no harm."""

    session: aiohttp.ClientSession = field(repr=False)
    url: str = field(repr=False)

    async def put(self, upload: Upload, limits: Limits) -> str:
        """The service's own link, once it is known to name the very bytes that were sent.

        Raises `ContentTooLarge` before anything is sent or when the service says so, `ContentMismatch` when
        its link names other bytes, and `ContentUnavailable` when it took nothing.
        """
        link = await _send(self.session, self.url, upload, limits, _link)
        try:
            cid = cid_of_link(link)
        except UnsupportedCID as error:
            raise ContentMismatch(
                f"{origin(self.url)} gave a link that does not name what it was sent: "
                f"{said(self.url, str(error), 300)}",
                facts={"service": origin(self.url)},
            ) from None  # the cause may quote what is secret in the URL
        await _check(self.url, upload, cid)
        return link


@dataclass(frozen=True, slots=True)
class KuboStore:
    """A Kubo node, by its RPC; it pins what it takes."""

    session: aiohttp.ClientSession = field(repr=False)
    url: str = field(repr=False)  # ends in /api/v0
    link_of: Callable[[CID], str]

    async def put(self, upload: Upload, limits: Limits) -> str:
        """A link of the CID that the node gave, once that is known to name the very bytes that were sent."""
        text = await _send(self.session, f"{self.url}/add?{urlencode(_ADD)}", upload, limits, _hash)
        try:
            cid = parse_cid(text)
        except UnsupportedCID as error:
            raise ContentMismatch(
                f"{origin(self.url)} gave no CID that can be checked: {said(self.url, str(error), 300)}",
                facts={"service": origin(self.url)},
            ) from None
        await _check(self.url, upload, cid)
        return self.link_of(cid)


@dataclass(frozen=True, slots=True)
class FolderStore:
    """A folder in which each file has its CID for a name, as in the local network's content service."""

    folder: Path
    link_of: Callable[[CID], str]

    async def put(self, upload: Upload, limits: Limits) -> str:
        """A link of the CID under which the folder now has the bytes."""
        _check_size(upload, limits)
        cid = await in_thread(upload.cid)
        await upload.watched(in_thread(self._copy, upload, self.folder / str(cid)))
        return self.link_of(cid)

    def _copy(self, upload: Upload, path: Path) -> None:
        with file_errors(self.folder, "written"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with part_file(path) as part, upload.open() as file:
                shutil.copyfileobj(file, part, 1 << 20)
                upload.check()


async def _send(
    session: aiohttp.ClientSession, url: str, upload: Upload, limits: Limits, read: Callable[[Any], Any]
) -> str:
    """What a service answers to the upload, as `read` finds it in its JSON."""
    _check_size(upload, limits)
    work = _try_often(session, url, upload, limits, read)
    outcome = await upload.watched(within(limits.total_seconds, work, url))
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome


def _check_size(upload: Upload, limits: Limits) -> None:
    if upload.size > limits.max_bytes:
        raise ContentTooLarge(
            f"The content has {upload.size:,} bytes; the limit is {limits.max_bytes:,}.",
            facts={"limit": limits.max_bytes, "size": upload.size},
        )


async def _try_often(
    session: aiohttp.ClientSession, url: str, upload: Upload, limits: Limits, read: Callable[[Any], Any]
) -> str | Failure:
    for attempt in range(limits.attempts):
        if attempt:
            await asyncio.sleep(limits.backoff_seconds * 2 ** (attempt - 1))
        outcome = await _post(session, url, upload, limits, read)
        if isinstance(outcome, str) or not outcome.passing:
            break
    return outcome


async def _post(
    session: aiohttp.ClientSession, url: str, upload: Upload, limits: Limits, read: Callable[[Any], Any]
) -> str | Failure:
    async with _opened(upload) as file:
        form = aiohttp.FormData()  # can be sent once only, so each attempt has its own
        form.add_field("file", file, filename=upload.filename, content_type=upload.content_type)
        try:
            async with session.post(
                url, data=form, headers=PLAIN, timeout=timeouts(limits), allow_redirects=False
            ) as response:
                if response.status == 413:
                    return _too_large(url)
                return refused(url, response) or await _read_answer(url, response, read)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            return broken(url, error)


@asynccontextmanager
async def _opened(upload: Upload) -> AsyncIterator[BinaryIO]:
    with ExitStack() as stack:  # it has the file even when we are stopped while the thread opens it
        yield await in_thread(lambda: stack.enter_context(upload.open()))


async def _read_answer(
    url: str, response: aiohttp.ClientResponse, read: Callable[[Any], Any]
) -> str | Failure:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _LONGEST_ANSWER:
            response.close()
            return unavailable(url, "sent more than the link that was expected")
    try:
        link = read(parse_json(bytes(body)))
    except (ValueError, KeyError, TypeError):
        link = None
    if not isinstance(link, str) or not link:
        kind = said(url, response.headers.get("Content-Type", "no content type"), 60)
        return unavailable(url, f"did not answer with JSON that has a link ({kind})", status=response.status)
    return link


def _link(answer: Any) -> Any:
    return answer["link"]


def _hash(answer: Any) -> Any:
    return answer["Hash"]


def _too_large(url: str) -> Failure:
    return Failure(
        ContentTooLarge(f"{origin(url)} refuses content of that size.", facts={"service": origin(url)})
    )


async def _check(url: str, upload: Upload, cid: CID) -> None:
    if not await in_thread(upload.is_named_by, cid):
        expected = str(await in_thread(upload.cid))
        await in_thread(upload.check)
        raise ContentMismatch(
            f"{origin(url)} was sent {expected} and gave a link to {cid}.",
            facts={"service": origin(url), "expected": expected, "named": str(cid)},
        )
