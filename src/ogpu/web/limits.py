"""What the server allows, and the rate limit of each client address."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from ogpu.web.paging import MAX_SIZE

SHARED_PREFIX = 64  # bits of an IPv6 address; one subscriber has all below


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows; `ogpu serve` has an option for most."""

    rate: float = 100.0  # requests a second of one client address; 0 is without a limit
    burst: float = 200.0  # requests at once
    addresses: int = 10_000  # client addresses that are remembered
    url: int = 2048  # bytes of path and query
    body: int = 1024  # bytes; nothing here reads one
    page: int = MAX_SIZE  # rows
    waiting: int = 200  # requests that wait for the database
    query_seconds: float = 5.0  # the longest look into the database
    patience: float = 2.0  # seconds that an answer waits for the index
    fresh: bool = False  # whether every answer waits for it to reach the head, and not only a task's
    listeners: int = 200  # streams of live changes
    listeners_each: int = 20  # of one client address
    live_seconds: float = 3600.0  # until a stream ends, which its client then resumes
    heartbeat: float = 15.0  # seconds
    behind: int = 20  # blocks by which an index may be behind and still be ready
    header_seconds: float = 10.0  # for a request's head to come
    write_seconds: float = 20.0  # for a client to take what waits for it
    connections: int = 1000
    kept: int = 16 << 20  # bytes of pages, and as many of other answers, kept while the index stays as it is


def client_key(address: str) -> str:
    """What is counted as one client: an IPv4 address, or an IPv6 subscriber's network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), SHARED_PREFIX), strict=False).network_address)


class RateLimiter:
    """Tokens for each client address; which was quiet for longest is forgotten first."""

    def __init__(self, rate: float, burst: float, addresses: int) -> None:
        self._rate, self._burst, self._most = rate, max(1.0, burst), addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was

    def wait(self, key: str, now: float) -> float:
        """Take a token: 0 when there was one, else the seconds until there is."""
        if self._rate <= 0:
            return 0.0
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        taken = tokens >= 1
        self._buckets[key] = (tokens - 1 if taken else tokens, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - tokens) / self._rate

    def __len__(self) -> int:
        return len(self._buckets)
