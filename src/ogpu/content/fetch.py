"""Fetches: bytes by CID from the configured gateways only, within limits, and checked against the CID."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from ogpu.content.cid import CID, matches
from ogpu.content.http import PLAIN, Failure, broken, off_loop, refused, timeouts, within
from ogpu.content.limits import Limits
from ogpu.content.urls import gateway_address, origin
from ogpu.errors import ContentError, ContentMismatch, ContentTooLarge

_PIECE = 64 * 1024


async def fetch(session: aiohttp.ClientSession, gateways: Sequence[str], cid: CID, limits: Limits) -> bytes:
    """The file that `cid` names, from the first gateway that gives its true bytes.

    `gateways` are in the form that `urls.gateway_base` makes. When none gives them, the gravest failure is
    raised: `ContentMismatch` if one lied, else `ContentTooLarge`, else `ContentUnavailable`; what each
    gateway did is in the facts.
    """
    failures: dict[str, Failure] = {}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_seconds
    waiting = list(gateways)
    for attempt in range(limits.attempts):
        if attempt:
            pause = limits.backoff_seconds * 2 ** (attempt - 1)
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        for place, gateway in enumerate(waiting):
            # Each gateway has its share of the time left, so that one that drips cannot use it all up.
            share = max(0.0, deadline - loop.time()) / (len(waiting) - place)
            outcome = await within(share, _get(session, gateway, cid, limits), gateway)
            if isinstance(outcome, bytes):
                return outcome
            failures[gateway] = outcome
        waiting = [gateway for gateway in waiting if failures[gateway].passing]
        if not waiting or loop.time() >= deadline:
            break
    raise _gravest(cid, failures)


async def _get(session: aiohttp.ClientSession, gateway: str, cid: CID, limits: Limits) -> bytes | Failure:
    address = gateway_address(gateway, cid)
    try:
        async with session.get(
            address, headers=PLAIN, timeout=timeouts(limits), allow_redirects=False
        ) as response:
            outcome = refused(gateway, response) or await _read(gateway, response, limits.max_bytes)
            if isinstance(outcome, Failure):
                response.close()  # or what was not read would be read to reuse the connection
                return outcome
    except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
        return broken(gateway, error)
    if await off_loop(lambda data: matches(cid, data), outcome):
        return outcome
    return Failure(
        ContentMismatch(
            f"{origin(gateway)} sent {len(outcome):,} bytes that are not the file that {cid} names."
        )
    )


async def _read(gateway: str, response: aiohttp.ClientResponse, limit: int) -> bytes | Failure:
    if response.content_length is not None and response.content_length > limit:
        return _too_large(gateway, limit)
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        body += piece
        if len(body) > limit:  # the announced length may be missing
            return _too_large(gateway, limit)
    return bytes(body)


def _too_large(gateway: str, limit: int) -> Failure:
    return Failure(
        ContentTooLarge(f"{origin(gateway)} has more than {limit:,} bytes.", facts={"limit": limit})
    )


def _gravest(cid: CID, failures: dict[str, Failure]) -> ContentError:
    order = (ContentMismatch, ContentTooLarge, ContentError)
    errors = [failure.error for failure in failures.values()]
    error = min(errors, key=lambda error: next(i for i, kind in enumerate(order) if isinstance(error, kind)))
    told = {origin(gateway): failure.error.message for gateway, failure in failures.items()}
    worst = type(error)(
        f"{cid} could not be fetched. {error.message}",
        facts={**error.facts, "cid": str(cid), "gateways": told},
    )
    worst.__cause__ = error
    return worst
