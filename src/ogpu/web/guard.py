"""What stands before the application: who may ask, how much, and what every answer carries."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from ogpu.web.failures import failure
from ogpu.web.limits import Limits, RateLimiter, client_key
from ogpu.web.metrics import Metrics

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
}
LARGEST_HEAD = 16 << 10  # bytes of a request's head
OTHER = "other"


class Hosts:
    """Which names a server goes by; None takes any.

    A server on loopback goes by loopback's names only: a page of another site may have its own name
    resolve to 127.0.0.1, and would read here what its visitor can.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names = None if names is None else {name.lower() for name in names}

    def takes(self, host: str) -> bool:
        """Whether a request's `Host` names this server."""
        return self._names is None or _is_loopback(name := _without_port(host)) or name in self._names


def _without_port(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses what no route should have to think of, and counts."""

    def __init__(
        self, app: FastAPI, *, limits: Limits, hosts: Hosts, metrics: Metrics, origins: tuple[str, ...] = ()
    ) -> None:
        self.app, self._limits, self._hosts, self._metrics = app, limits, hosts, metrics
        self._origins = {origin.encode() for origin in origins}
        self._rate = RateLimiter(limits.rate, limits.burst, limits.addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        method = scope["method"]
        headers = dict(scope["headers"])
        inner = {**scope, "method": "GET"} if method == "HEAD" else scope
        status, streams = 500, False

        async def sending(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._with_headers(message["headers"], headers)}
                streams = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            await send(message)

        refused = self._refusal(scope, headers)
        try:
            await (refused or self.app)(inner, receive, sending)
        finally:
            # The application notes its route in the scope that it was given.
            route = getattr(inner.get("route"), "path", OTHER)
            seconds = None if streams or refused else time.perf_counter() - begun
            self._metrics.answered(route, method, status, seconds)
            self._metrics.addresses.set(len(self._rate))

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Any:
        client = scope.get("client")
        wait = self._rate.wait(client_key(client[0] if client else ""), time.monotonic())
        if wait:
            again = {"Retry-After": str(math.ceil(wait))}
            return failure(429, "Too many requests.", f"Wait {wait:.1f} s.", headers=again)
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._hosts.takes(host):
            return failure(
                421,
                "This server does not go by that name.",
                "Ask it as localhost or 127.0.0.1, or start it with --allow-host.",
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > self._limits.url:
            return failure(414, f"The URL is longer than {self._limits.url} bytes.", headers=_CLOSE)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
            return failure(431, f"The headers have more than {LARGEST_HEAD} bytes.", headers=_CLOSE)
        return self._refused_body(headers)

    def _refused_body(self, headers: dict[bytes, bytes]) -> Any:
        if b"transfer-encoding" in headers:
            return failure(411, "A body without a length is not taken.", headers=_CLOSE)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self._limits.body:
            return failure(413, f"The body is larger than {self._limits.body} bytes.", headers=_CLOSE)
        return None

    def _with_headers(
        self, given: Iterable[tuple[bytes, bytes]], asked: dict[bytes, bytes]
    ) -> list[tuple[bytes, bytes]]:
        found = list(given)
        there = {name.lower() for name, _ in found}
        found += [(name, value) for name, value in HEADERS.items() if name not in there]
        if self._origins:
            found.append((b"vary", b"Origin"))
            origin = asked.get(b"origin", b"")
            if origin in self._origins or b"*" in self._origins:
                found.append((b"access-control-allow-origin", b"*" if b"*" in self._origins else origin))
                found.append((b"access-control-expose-headers", b"ETag, X-Index-Block, X-Index-Behind"))
        return found


_CLOSE = {"Connection": "close"}
