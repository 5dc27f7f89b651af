"""Real HTTP on loopback for the content tests: good servers from aiohttp, bad ones byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from ogpu.content import AsyncContent, Limits, cid_of
from ogpu.content.cache import Cache
from ogpu.localnet.content_service import content_app

T = TypeVar("T")

# What a bad server does with the connection once a request's head has come, and how many came before it.
Conduct = Callable[[asyncio.StreamWriter, int], Awaitable[None]]

QUICK = Limits(max_bytes=1_000_000, total_seconds=5, idle_seconds=3, backoff_seconds=0.01)


BODY = json.dumps({"name": "größe", "amount": 20 * 10**18}).encode()
CID = cid_of(BODY)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def client(
    *gateways: str,
    upload_url: str | None = None,
    limits: Limits = QUICK,
    store: str | None = None,
    cache: Cache | None = None,
) -> AsyncContent:
    return AsyncContent(upload_url=upload_url, gateway_urls=gateways, limits=limits, store=store, cache=cache)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The app on a free port; its base URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def content_service(store: Path, *, limit: int = 64 * 1024 * 1024) -> AsyncIterator[str]:
    """The local content service; its base URL."""
    url: list[str] = []
    async with serving(content_app(store, public_url=lambda: url[0], limit=limit)) as base:
        url.append(base)
        yield base


class Misbehaving:
    """A raw server that follows a conduct, and remembers the heads of the requests it got."""

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self.requests: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.decode())
            for line in head.decode().lower().splitlines():
                if line.startswith("content-length:"):
                    await reader.readexactly(int(line.partition(":")[2]))
            await self._conduct(writer, len(self.requests) - 1)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as it should
        finally:
            writer.close()


@asynccontextmanager
async def misbehaving(conduct: Conduct) -> AsyncIterator[tuple[str, Misbehaving]]:
    bad = Misbehaving(conduct)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(bad.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", bad
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answers(*given: bytes) -> Conduct:
    """One answer after the other; the last again and again."""

    async def conduct(writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(given[min(count, len(given) - 1)])
        await writer.drain()

    return conduct


def drip(head: bytes, piece: bytes, seconds: float) -> Conduct:
    """A body that never ends: a piece, a pause, a piece."""

    async def conduct(writer: asyncio.StreamWriter, _count: int) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return conduct


async def fetched(conduct: Conduct, *, limits: Limits = QUICK, cid: str = CID) -> tuple[bytes, Misbehaving]:
    """What a client gets from one misbehaving gateway."""
    async with misbehaving(conduct) as (url, bad), client(url, limits=limits) as content:
        return await content.get_bytes(cid), bad
