"""A node of a chain so long that no real one makes it for a test: empty blocks, made up when asked for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.support.faults import Answer, Call, given

CHAIN_ID = 31337
NO_BLOOM = "0x" + "00" * 256


@dataclass
class LongChain:
    """The node's address, its newest block's number, and how often each method was asked for."""

    head: int
    url: str = ""
    methods: Counter[str] = field(default_factory=Counter)

    def answer(self, call: Call) -> Answer:
        self.methods[call["method"]] += 1
        match call["method"]:
            case "eth_chainId":
                return given(call, hex(CHAIN_ID))
            case "eth_getBlockByNumber":
                asked = call["params"][0]
                number = self.head if asked == "latest" else int(asked, 16)
                return given(call, header(number) if number <= self.head else None)
            case "eth_getLogs":
                return given(call, [])
        raise AssertionError(call)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        document: Any = orjson.loads(await request.read())
        batch = isinstance(document, list)
        answers = [self.answer(call) for call in (document if batch else [document])]
        body = orjson.dumps(answers if batch else answers[0])
        return web.Response(body=body, content_type="application/json")


def header(number: int) -> dict[str, Any]:
    """A block's header; its hash tells its number."""
    return {
        "number": hex(number),
        "hash": f"0x{number + 1:064x}",
        "parentHash": f"0x{number:064x}",
        "timestamp": hex(1_700_000_000 + number),
        "logsBloom": NO_BLOOM,
    }


@contextlib.contextmanager
def long_chain(head: int) -> Iterator[LongChain]:
    """Such a node on a free port of loopback."""
    chain, loop, ready, end = LongChain(head), asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(chain.handle, access_log=None), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        chain.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await end.wait()
        await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="long chain", daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the node did not start"
        yield chain
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
