"""A proxy before the node that delays every HTTP request, each by itself, and counts them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web

NODE_TIMEOUT = 300.0  # seconds
START_TIMEOUT = 10.0


@dataclass
class Proxy:
    """Where it is, the delay in seconds, and what has gone through."""

    target: str
    delay: float
    url: str = ""
    requests: int = 0
    at_once: int = 0  # requests that are delayed now
    most_at_once: int = 0


class _Server:
    def __init__(self, proxy: Proxy, session: aiohttp.ClientSession) -> None:
        self._proxy = proxy
        self._session = session

    async def handle(self, request: web.BaseRequest) -> web.Response:
        proxy = self._proxy
        proxy.requests += 1
        body = await request.content.read()
        proxy.at_once += 1
        proxy.most_at_once = max(proxy.most_at_once, proxy.at_once)
        await asyncio.sleep(proxy.delay)
        proxy.at_once -= 1
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self._session.post(proxy.target, data=body, headers=headers) as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type
            )


async def _serve(proxy: Proxy, ready: threading.Event, end: asyncio.Event) -> None:
    timeout, connector = aiohttp.ClientTimeout(total=NODE_TIMEOUT), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        server = web.Server(_Server(proxy, session).handle, access_log=None, keepalive_timeout=3600)
        runner = web.ServerRunner(server, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await end.wait()
        finally:
            await runner.cleanup()


@contextlib.contextmanager
def delayed(target: str, delay: float) -> Iterator[Proxy]:
    """A proxy on a free port of loopback, in a thread of its own; `delay` in seconds."""
    proxy, loop = Proxy(target, delay), asyncio.new_event_loop()
    ready, end = threading.Event(), asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_serve(proxy, ready, end))

    thread = threading.Thread(target=run, name="delay", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_TIMEOUT):
            raise RuntimeError("The proxy did not start.")
        yield proxy
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
