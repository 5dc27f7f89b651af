"""Fetches: bytes by CID from the configured servers only, within limits, and checked against the CID."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from ogpu.content.cache import Cache
from ogpu.content.cid import CID, block_matches
from ogpu.content.dag import MAX_BLOCK
from ogpu.content.http import Failure, broken, refused, timeouts, within
from ogpu.content.limits import Limits
from ogpu.content.receiver import Progress, Receiver
from ogpu.content.sources import Ask, Source
from ogpu.content.threads import in_thread
from ogpu.content.urls import origin
from ogpu.content.walk import walk
from ogpu.errors import ContentError, ContentMismatch, ContentTooLarge

_PIECE = 64 * 1024
_SPARE = 64 * 1024  # bytes that the tree of a small file may take, however it is cut
_BLOCKS_ONLY = (400, 406)  # what a gateway may answer that puts no files together

Failures = dict[Source, Failure]


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch: what is wanted, how much of what may be spent, and where it goes."""

    session: aiohttp.ClientSession = field(repr=False)
    cid: CID
    limits: Limits
    sink: BinaryIO
    path: Path | None = None  # of the sink
    progress: Progress | None = None
    cache: Cache | None = None


Way = Callable[[Fetch, Source], Coroutine[Any, Any, Failure | None]]


async def fetch(wanted: Fetch, sources: Sequence[Source]) -> None:
    """Write the file to the sink, from the first server that gives its true bytes.

    Each is asked for the whole file; when what came is not what the CID names in a layout that we know, for
    the file's blocks. When none gives them, the gravest failure is raised: `ContentMismatch` if one lied,
    else `ContentTooLarge`, else `ContentUnavailable`; what each server did is in the facts.
    """
    deadline = asyncio.get_running_loop().time() + wanted.limits.total_seconds
    begun = await _has_blocks(wanted)  # the cache has some, so that is how it was fetched before
    if begun and await _from_any(wanted, sources, _get_blocks, deadline) is None:
        return
    failures = await _from_any(wanted, sources, _get_file, deadline)
    if failures is None:
        if wanted.cache is not None:
            await in_thread(wanted.cache.keep, wanted.cid, wanted.sink)
        return
    others = [] if begun else [s for s in sources if _may_have_blocks(wanted.cid, failures[s])]
    in_blocks = await _from_any(wanted, others, _get_blocks, deadline)
    if in_blocks is not None:
        raise _gravest(wanted.cid, failures, in_blocks)


async def _has_blocks(wanted: Fetch) -> bool:
    if wanted.cache is None or wanted.cid.codec == "raw":
        return False
    return await in_thread(wanted.cache.has_block, wanted.cid)


def _may_have_blocks(cid: CID, failure: Failure) -> bool:
    """A raw CID's file is its block."""
    blocks_only = failure.error.facts.get("status") in _BLOCKS_ONLY
    return blocks_only or (isinstance(failure.error, ContentMismatch) and cid.codec != "raw")


async def _from_any(wanted: Fetch, sources: Sequence[Source], way: Way, deadline: float) -> Failures | None:
    """None once one server has given the file, else why each has not."""
    failures: Failures = {}
    limits = wanted.limits
    loop = asyncio.get_running_loop()
    waiting = list(sources)
    for attempt in range(limits.attempts):
        if attempt:
            pause = limits.backoff_seconds * 2 ** (attempt - 1)
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        for place, source in enumerate(waiting):
            # Each server has its share of the time left, so that one that drips cannot use it all up.
            share = max(0.0, deadline - loop.time()) / (len(waiting) - place)
            failure = await within(share, way(wanted, source), source.url)
            if failure is None:
                return None
            failures[source] = failure
        waiting = [source for source in waiting if failures[source].passing]
        if not waiting or loop.time() >= deadline:
            break
    return failures


async def _get_file(wanted: Fetch, source: Source) -> Failure | None:
    receiver = Receiver(wanted.sink, wanted.cid, path=wanted.path, progress=wanted.progress)
    ask = source.file(wanted.cid)
    async with aclosing(pieces(wanted.session, source.url, ask, wanted.limits, receiver.expect)) as coming:
        async for piece in coming:
            if isinstance(piece, Failure):
                return piece
            await receiver.take(piece)
    if await receiver.finish():
        return None
    where, size = origin(source.url), receiver.size
    return Failure(
        ContentMismatch(f"{where} sent {size:,} bytes that are not the file that {wanted.cid} names.")
    )


class _Allowance:
    """The bytes of blocks that a server may send in one go: the file's, and what a proper tree adds."""

    def __init__(self, max_bytes: int) -> None:
        self.whole = max_bytes + max_bytes // 4 + _SPARE
        self._left = self.whole

    def spend(self, size: int) -> bool:
        """False when it is used up."""
        self._left -= size
        return self._left >= 0


async def _get_blocks(wanted: Fetch, source: Source) -> Failure | None:
    receiver = Receiver(wanted.sink, None, path=wanted.path, progress=wanted.progress)
    allowance = _Allowance(wanted.limits.max_bytes)

    async def get_block(cid: CID) -> bytes | Failure:
        return await _get_block(wanted, source, cid, allowance)

    failure = await walk(wanted.cid, get_block, receiver, wanted.limits.max_bytes)
    if failure is None:
        await receiver.finish()
    return failure


async def _get_block(wanted: Fetch, source: Source, cid: CID, allowance: _Allowance) -> bytes | Failure:
    """A block, from the cache or the server, checked."""
    if wanted.cache is not None:
        found = await in_thread(wanted.cache.block, cid)
        if found is not None:
            return found
    block = bytearray()
    limits = replace(wanted.limits, max_bytes=MAX_BLOCK)
    async with aclosing(pieces(wanted.session, source.url, source.block(cid), limits)) as coming:
        async for piece in coming:
            if isinstance(piece, Failure):
                return _not_the_block(source, cid) if isinstance(piece.error, ContentTooLarge) else piece
            if not allowance.spend(len(piece)):
                return _padded(wanted, source, allowance)
            block += piece
    if not block_matches(cid, block):
        return _not_the_block(source, cid)
    if wanted.cache is not None:
        await in_thread(wanted.cache.keep_block, cid, bytes(block))
    return bytes(block)


def _not_the_block(source: Source, cid: CID) -> Failure:
    return Failure(ContentMismatch(f"{origin(source.url)} sent bytes that are not the block {cid}."))


def _padded(wanted: Fetch, source: Source, allowance: _Allowance) -> Failure:
    limit = wanted.limits.max_bytes
    problem = f"sent over {allowance.whole:,} bytes of blocks for a file of at most {limit:,}"
    return Failure(ContentTooLarge(f"{origin(source.url)} {problem}.", facts={"limit": limit}))


async def pieces(
    session: aiohttp.ClientSession,
    where: str,
    ask: Ask,
    limits: Limits,
    expect: Callable[[int | None], None] | None = None,
) -> AsyncGenerator[bytes | Failure, None]:
    """The body of the answer as it comes, at most `limits.max_bytes`; a failure is the last piece.

    What the taker of a piece raises is its own and no failure of the server.
    """
    size = 0
    try:
        async with session.request(
            ask.method, ask.url, headers=ask.headers, timeout=timeouts(limits), allow_redirects=False
        ) as response:
            failure = refused(where, response, ask.final) or _announced(where, response, limits.max_bytes)
            if failure is None:
                if expect is not None:
                    expect(response.content_length)
                async for piece in response.content.iter_chunked(_PIECE):
                    size += len(piece)
                    if size > limits.max_bytes:  # the announced length may be missing
                        failure = _too_large(where, limits.max_bytes)
                        break
                    yield piece
            if failure is not None:
                response.close()  # or what was not read would be read to reuse the connection
                yield failure
    except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
        yield broken(where, error)


def _announced(where: str, response: aiohttp.ClientResponse, limit: int) -> Failure | None:
    length = response.content_length
    return _too_large(where, limit) if length is not None and length > limit else None


def _too_large(where: str, limit: int) -> Failure:
    return Failure(ContentTooLarge(f"{origin(where)} has more than {limit:,} bytes.", facts={"limit": limit}))


def _gravest(cid: CID, failures: Failures, in_blocks: Failures) -> ContentError:
    order = (ContentMismatch, ContentTooLarge, ContentError)
    padded = {s for s, failure in in_blocks.items() if isinstance(failure.error, ContentTooLarge)}
    lied = {s for s, failure in failures.items() if isinstance(failure.error, ContentMismatch)} - padded
    final = {s: in_blocks.get(s, failure) if s not in lied else failure for s, failure in failures.items()}
    errors = [failure.error for failure in final.values()]
    error = min(errors, key=lambda error: next(i for i, kind in enumerate(order) if isinstance(error, kind)))
    told = {origin(source.url): failure.error.message for source, failure in failures.items()}
    for source, failure in in_blocks.items():
        told[origin(source.url)] += f" Its blocks: {failure.error.message}"
    worst = type(error)(
        f"{cid} could not be fetched. {error.message}",
        facts={**error.facts, "cid": str(cid), "gateways": told},
    )
    worst.__cause__ = error
    return worst
