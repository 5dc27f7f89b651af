"""Uploads: bytes go to the network's content service, and its link must name the very bytes we sent."""

from __future__ import annotations

import asyncio
import io

import aiohttp

from ogpu.content.cid import cid_of, cid_of_link, matches
from ogpu.content.http import PLAIN, Failure, broken, off_loop, refused, said, timeouts, unavailable, within
from ogpu.content.limits import Limits
from ogpu.content.urls import origin
from ogpu.errors import ContentMismatch, ContentTooLarge, UnsupportedCID
from ogpu.safejson import parse_json

_LONGEST_ANSWER = 64 * 1024  # bytes; it holds one link


async def upload(
    session: aiohttp.ClientSession, url: str, data: bytes, *, filename: str, content_type: str, limits: Limits
) -> str:
    """The link under which the service now has `data`.

    Raises `ContentTooLarge` before anything is sent or when the service says so, `ContentMismatch` when its
    link names other bytes, and `ContentUnavailable` when it took nothing. The same bytes always get the same
    CID, so an upload whose fate is unknown is simply sent again.
    """
    if len(data) > limits.max_bytes:
        raise ContentTooLarge(
            f"The content has {len(data):,} bytes; the limit is {limits.max_bytes:,}.",
            facts={"limit": limits.max_bytes, "size": len(data)},
        )
    work = _try_often(session, url, data, filename, content_type, limits)
    outcome = await within(limits.total_seconds, work, url)
    if isinstance(outcome, Failure):
        raise outcome.error
    await _check_link(url, outcome, data)
    return outcome


async def _try_often(
    session: aiohttp.ClientSession, url: str, data: bytes, filename: str, content_type: str, limits: Limits
) -> str | Failure:
    for attempt in range(limits.attempts):
        if attempt:
            await asyncio.sleep(limits.backoff_seconds * 2 ** (attempt - 1))
        outcome = await _post(session, url, _form(data, filename, content_type), limits)
        if isinstance(outcome, str) or not outcome.passing:
            break
    return outcome


def _form(data: bytes, filename: str, content_type: str) -> aiohttp.FormData:
    form = aiohttp.FormData()  # can be sent once only, so each attempt has its own
    form.add_field("file", io.BytesIO(data), filename=filename, content_type=content_type)
    return form


async def _post(
    session: aiohttp.ClientSession, url: str, form: aiohttp.FormData, limits: Limits
) -> str | Failure:
    try:
        async with session.post(
            url, data=form, headers=PLAIN, timeout=timeouts(limits), allow_redirects=False
        ) as response:
            if response.status == 413:
                return _too_large(url)
            return refused(url, response) or await _read_link(url, response)
    except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
        return broken(url, error)


async def _read_link(url: str, response: aiohttp.ClientResponse) -> str | Failure:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _LONGEST_ANSWER:
            response.close()
            return unavailable(url, "sent more than the link that was expected")
    try:
        link = parse_json(bytes(body))["link"]
    except (ValueError, KeyError, TypeError):
        link = None
    if not isinstance(link, str) or not link:
        kind = said(url, response.headers.get("Content-Type", "no content type"), 60)
        return unavailable(url, f"did not answer with JSON that has a link ({kind})", status=response.status)
    return link


def _too_large(url: str) -> Failure:
    return Failure(
        ContentTooLarge(f"{origin(url)} refuses content of that size.", facts={"service": origin(url)})
    )


async def _check_link(url: str, link: str, data: bytes) -> None:
    try:
        cid = cid_of_link(link)
    except UnsupportedCID as error:
        raise ContentMismatch(
            f"{origin(url)} gave a link that does not name what it was sent: {said(url, str(error), 300)}",
            facts={"service": origin(url)},
        ) from None  # the cause may quote what is secret in the URL
    if not await off_loop(lambda sent: matches(cid, sent), data):
        expected = await off_loop(cid_of, data)
        raise ContentMismatch(
            f"{origin(url)} was sent {expected} and gave a link to {cid}.",
            facts={"service": origin(url), "expected": expected, "named": str(cid)},
        )
