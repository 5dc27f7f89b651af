"""What uploads and fetches share: how requests are sent, and what their failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from ogpu.content.limits import Limits
from ogpu.content.urls import origin
from ogpu.errors import ContentError, ContentUnavailable
from ogpu.text import printable, without_url_parts

# No encoding: a compressed body could unfold to any size, and what a CID names is the plain bytes.
PLAIN = {"Accept-Encoding": "identity"}

# Worth another try: 408 timed out, 425 too early, 429 slow down, and all of the server's own (5xx).
_PASSING = {408, 425, 429}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, and whether the next one may do better."""

    error: ContentError
    passing: bool = False


def open_session(connector: aiohttp.BaseConnector | None = None) -> aiohttp.ClientSession:
    """A session that keeps no cookies and unpacks nothing."""
    jar = aiohttp.DummyCookieJar()
    return aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False)


def timeouts(limits: Limits) -> aiohttp.ClientTimeout:
    """The time to connect and between reads; the total is held by `within`, across attempts."""
    idle = limits.idle_seconds
    return aiohttp.ClientTimeout(total=None, connect=idle, sock_connect=idle, sock_read=idle)


async def within(seconds: float, work: Awaitable[Result], where: str) -> Result | Failure:
    """The work's result, or a failure when it is not there in time."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise  # the caller's own, from a callback
        failure = unavailable(where, f"was not done within {seconds:.3g} s")
        failure.error.__cause__ = error
        return failure


def unavailable(url: str, problem: str, *, passing: bool = False, **facts: str | int) -> Failure:
    """A service that did not do its part; only its origin is shown."""
    where = origin(url)
    return Failure(ContentUnavailable(f"{where} {problem}.", facts={"service": where, **facts}), passing)


def said(url: str, text: str, limit: int) -> str:
    """What a service says, in one line and without what may be secret in its URL."""
    return printable(without_url_parts(text[: 20 * limit], url), limit)


def broken(url: str, error: Exception) -> Failure:
    """A request that ended in aiohttp's error rather than in an answer."""
    if isinstance(error, aiohttp.ClientResponseError):  # its text holds the whole URL, query included
        problem = (error.message.strip().splitlines() or [type(error).__name__])[0]
        return unavailable(url, f"did not answer in proper HTTP: {said(url, problem, 120)}", passing=True)
    if isinstance(error, aiohttp.InvalidURL):  # so does its
        return unavailable(url, "has an address that cannot be asked")
    text = str(error) or type(error).__name__
    problem = f"could not be reached or broke off: {said(url, text, 200)}"
    failure = unavailable(url, problem, passing=True)
    failure.error.__cause__ = error
    return failure


def refused(
    url: str, response: aiohttp.ClientResponse, final: frozenset[int] = frozenset()
) -> Failure | None:
    """The failure that an answer's head tells of, if it does; a status of `final` stays when asked again."""
    status = response.status
    if 300 <= status < 400:
        return unavailable(url, f"redirects (HTTP {status}), which is not followed", status=status)
    if status not in (200, 201):
        passing = (status >= 500 or status in _PASSING) and status not in final
        return unavailable(url, f"answered HTTP {status}", passing=passing, status=status)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        return unavailable(url, f"sent an encoded body ({said(url, encoding, 20)}), which was not asked for")
    return None
