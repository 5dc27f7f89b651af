"""A real HTTP proxy in front of a real node, with faults that a test orders or that come at random."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.support.faults import (
    SEND,
    TRANSIENT,
    Answer,
    Call,
    Fault,
    at_block,
    behind,
    changed,
    fits,
    unasked,
)
from tests.support.gateways import Gateway

__all__ = ["Fault", "Order", "Proxy", "proxied"]

HTML_PAGE = b"<!doctype html><title>Welcome</title>"
BAD_GATEWAY = b"<html><h1>502 Bad Gateway</h1></html>"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time left: close sends RST, not FIN
NODE_TIMEOUT = 30.0
BACKLOG = 1024
ACCEPTING = (
    5  # turns of the loop for connections that are being accepted; asyncio leaks them when it closes first
)
HEAD = {"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []}
UNSEEN = {  # what the node never hears of
    Fault.DROP_BEFORE,
    Fault.RESET_BEFORE,
    Fault.BAD_GATEWAY_BEFORE,
    Fault.TOO_MANY,
    Fault.SILENCE_BEFORE,
}


@dataclass
class Order:
    """A fault for the next `times` requests that hold a method, after `skip` of them that pass.

    It waits until the order `after` is used up and the node has had the last request of that one; with
    `hold`, requests that hold the method wait for that too.
    """

    method: str
    fault: Fault
    times: int
    skip: int = 0
    after: Order | None = None
    hold: bool = False
    over: Future[None] = field(default_factory=Future)

    def end(self) -> None:
        """Note that the node has had a request of this order."""
        if not self.times and not self.over.done():
            self.over.set_result(None)


@dataclass
class Rate:
    """Faults that come at random, the same ones for the same seed and the same order of requests."""

    probability: float
    faults: Sequence[Fault]
    random: random.Random

    def draw(self, methods: Sequence[str]) -> Order | None:
        """The fault of a request, if it has one."""
        if self.random.random() >= self.probability:
            return None
        method = self.random.choice(sorted(set(methods)))
        return Order(method, self.random.choice([f for f in self.faults if fits(f, method)]), 0)


@dataclass
class Proxy:
    """The proxy's address, what went through, and the faults to come.

    `hold` is called with each method before the node is asked, `hold_after` when it has answered; a
    request waits until they return. `silence` is in seconds; a node that is behind is `lag` blocks behind, or
    at block `stopped_at`. `gateway` is what it does to batches, `sizes` are theirs. The next `throttle`
    requests are refused by HTTP 429 with this `retry_after`. `lie` may change each result of the node.
    """

    target: str
    url: str = ""
    orders: list[Order] = field(default_factory=list)
    requests: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    calls: list[Any] = field(default_factory=list)
    raw_sent: list[str] = field(default_factory=list)
    faults: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    hold: Callable[[str], None] | None = None
    hold_after: Callable[[str], None] | None = None
    silence: float = 3.0
    lag: int = 3
    stopped_at: int | None = None
    gateway: Gateway = field(default_factory=Gateway)
    throttle: int = 0
    retry_after: str = "1"
    lie: Callable[[Call, Answer], None] | None = None
    sizes: list[int] = field(default_factory=list)
    _rate: Rate | None = None
    _replaced: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(
        self,
        method: str,
        fault: Fault,
        times: int = 1,
        *,
        skip: int = 0,
        after: Order | None = None,
        hold: bool = False,
    ) -> Order:
        """Let the next requests that hold this method ("*" for any) fail so."""
        order = Order(method, fault, times, skip, after, hold)
        with self._lock:
            self.orders.append(order)
        return order

    def rate(self, probability: float, seed: int, faults: Sequence[Fault] = TRANSIENT) -> None:
        """Let each request fail with that probability, by one of the faults that suit it."""
        with self._lock:
            self._rate = Rate(probability, faults, random.Random(seed)) if probability else None

    def calm(self) -> None:
        """No more faults; only a node that was replaced does not come back."""
        with self._lock:
            self.orders.clear()
            self._rate = None

    def fault_for(self, methods: list[str]) -> Order | None:
        """The fault that is due for a request, used up by it."""
        with self._lock:
            due = self._ordered(methods)
            if due is None and self._rate is not None:
                due = self._rate.draw(methods)
            if due is not None:
                self.faults[due.method, due.fault] += 1
            if due is not None and due.fault is Fault.REPLACED:
                self._replaced = True
                due.end()
            return self._of_another_node(methods) if self._replaced else due

    @staticmethod
    def _of_another_node(methods: list[str]) -> Order:
        """Of a node that was replaced one hears the chain id, and nothing else: nothing else counts."""
        return Order("*", Fault.WRONG_CHAIN if "eth_chainId" in methods else Fault.DROP_BEFORE, 0)

    def _ordered(self, methods: list[str]) -> Order | None:
        for order in self.orders:
            if order.after is not None and not order.after.over.done():
                continue
            if order.times and (order.method in methods or order.method == "*"):
                if not order.skip:
                    order.times -= 1
                    return order
                order.skip -= 1
        return None

    async def turn(self, methods: list[str]) -> None:
        """Wait while an order for these methods depends on a request that is with the node, or to come."""
        for order in list(self.orders):
            if order.after is None or order.method not in (*methods, "*"):
                continue
            if order.hold or not order.after.times:
                await asyncio.shield(asyncio.wrap_future(order.after.over))

    def noted(self, calls: list[Call]) -> list[str]:
        """Remember a request; its methods."""
        methods = [call["method"] for call in calls]
        with self._lock:
            self.requests += 1
            self.sizes.append(len(calls))
            self.methods.update(methods)
            self.calls += calls
            self.raw_sent += [call["params"][0] for call in calls if call["method"] == SEND]
        return methods


class _Server:
    """The server of one proxy, on the event loop of its thread."""

    def __init__(self, proxy: Proxy, session: aiohttp.ClientSession) -> None:
        self._proxy = proxy
        self._session = session

    async def handle(self, request: web.BaseRequest) -> web.Response:
        document = orjson.loads(await request.content.read())
        calls = document if isinstance(document, list) else [document]
        methods = self._proxy.noted(calls)
        if refused := self._refused(calls):
            return refused
        if self._proxy.hold:
            await _in_thread(self._proxy.hold, methods)
        await self._proxy.turn(methods)
        order = self._proxy.fault_for(methods)
        fault, answer = order.fault if order else None, b""
        try:
            if fault not in UNSEEN:
                answers = await self._answers(order, calls)
                batch = isinstance(document, list)
                answer = orjson.dumps(self._proxy.gateway.bent(calls, answers) if batch else answers[0])
                if self._proxy.hold_after:
                    await _in_thread(self._proxy.hold_after, methods)
        except (aiohttp.ClientError, TimeoutError):  # the node is down or hangs
            return _page(502, BAD_GATEWAY)
        finally:
            if order is not None:
                order.end()
        return await self._reply(request, fault, answer)

    def _refused(self, calls: list[Call]) -> web.Response | None:
        """What a gateway says that asks nobody."""
        if self._proxy.throttle:
            self._proxy.throttle -= 1
            return web.Response(status=429, text="", headers={"Retry-After": self._proxy.retry_after})
        if not (refused := self._proxy.gateway.refused(calls)):
            return None
        status, document = refused
        if isinstance(document, bytes):
            return _page(status, document)
        return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")

    async def _reply(self, request: web.BaseRequest, fault: Fault | None, answer: bytes) -> web.Response:
        half = answer[: len(answer) // 2]
        match fault:
            case Fault.DROP_BEFORE | Fault.DROP_AFTER:
                return _dropped(request)
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                return _reset(request)
            case Fault.SILENCE_BEFORE | Fault.SILENCE_AFTER:
                await asyncio.sleep(self._proxy.silence)
                return _dropped(request)
            case Fault.CUT_SHORT:
                return _cut_short(request, half, len(answer))
            case Fault.BAD_GATEWAY_BEFORE | Fault.BAD_GATEWAY_AFTER:
                return _page(502, BAD_GATEWAY)
            case Fault.TOO_MANY:
                return web.Response(status=429, text="slow down")
            case Fault.HTML:
                return _page(200, HTML_PAGE)
            case Fault.GARBAGE:
                return web.Response(body=random.randbytes(200), content_type="application/octet-stream")
            case Fault.TRUNCATED:
                return web.Response(body=half, content_type="application/json")
        return web.Response(body=answer, content_type="application/json")

    async def _answers(self, order: Order | None, calls: list[Call]) -> list[Any]:
        fault, method = (order.fault, order.method) if order else (None, "")
        own = unasked(fault, method)
        ready = {position: answer for position, call in enumerate(calls) if (answer := own(call))}
        asked = [call for position, call in enumerate(calls) if position not in ready]
        if fault is Fault.STALE_HEAD:
            (number,) = await self._ask(
                [{"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []}]
            )
            head = max(0, int(number["result"], 16) - self._proxy.lag)
            head = head if self._proxy.stopped_at is None else self._proxy.stopped_at
            found = await self._ask([at_block(call, head) for call in asked])
            found = [behind(call, answer, head) for call, answer in zip(asked, found, strict=True)]
        else:
            found = await self._ask(asked)
        changed(fault, method, asked, found)
        for call, answer in zip(asked, found, strict=True):
            if self._proxy.lie and "result" in answer:
                self._proxy.lie(call, answer)
        rest = iter(found)
        return [ready[position] if position in ready else next(rest) for position in range(len(calls))]

    async def _ask(self, calls: list[Call]) -> list[Any]:
        """The node's answers, in the order of the calls."""
        if not calls:
            return []
        body = orjson.dumps(calls if len(calls) > 1 else calls[0])
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._proxy.target, data=body, headers=headers) as response:
            answers = orjson.loads(await response.read())
        if len(calls) == 1:
            return [answers]
        by_id = {answer["id"]: answer for answer in answers}
        return [by_id[call["id"]] for call in calls]


def _page(status: int, page: bytes) -> web.Response:
    return web.Response(status=status, body=page, content_type="text/html")


def _dropped(request: web.BaseRequest) -> web.Response:
    if request.transport:
        request.transport.close()
    return web.Response()  # nobody gets it


def _reset(request: web.BaseRequest) -> web.Response:
    if request.transport:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


def _cut_short(request: web.BaseRequest, half: bytes, length: int) -> web.Response:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    if request.transport:
        request.transport.write(head.encode() + half)
    return _dropped(request)


async def _in_thread(hold: Callable[[str], None], methods: list[str]) -> None:
    """Call a test's function that may block; in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    released = loop.create_future()

    def release() -> None:
        if not released.done():  # canceled when the proxy ends
            released.set_result(None)

    def run() -> None:
        try:
            for method in methods:
                hold(method)
        finally:
            with contextlib.suppress(RuntimeError):  # the proxy has ended
                loop.call_soon_threadsafe(release)

    threading.Thread(target=run, daemon=True).start()
    await released


async def _serve(proxy: Proxy, ready: threading.Event, end: asyncio.Event) -> None:
    timeout = aiohttp.ClientTimeout(total=NODE_TIMEOUT)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        server = web.Server(_Server(proxy, session).handle, access_log=None, keepalive_timeout=3600)
        runner = web.ServerRunner(server, shutdown_timeout=0)
        await runner.setup()
        listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        try:
            await end.wait()
        finally:
            asyncio.get_running_loop().remove_reader(listening)
            for _ in range(ACCEPTING):
                await asyncio.sleep(0)
            await runner.cleanup()


@contextlib.contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A proxy before a node, on a free port of loopback."""
    proxy = Proxy(target)
    loop = asyncio.new_event_loop()
    ready, end = threading.Event(), asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_serve(proxy, ready, end))

    thread = threading.Thread(target=run, name="proxy", daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the proxy did not start"
        yield proxy
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
