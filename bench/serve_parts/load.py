"""Requests at a constant rate, from a process of its own: python load.py JOB, with URL, rate and seconds.

A request's time counts from when it was due, so that a server that stalls is not asked less meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

SEED = 5
CONNECTIONS = 100
LONGEST = 30.0  # seconds for one answer
LISTENERS = 20  # of live changes, while the requests are made
SILENT = 10  # connections that ask much and read nothing


async def loaded(job: dict[str, Any]) -> dict[str, Any]:
    """Make the requests; each one's kind, status and seconds."""
    url, rate, seconds = job["url"], job["rate"], job["seconds"]
    found: list[tuple[str, int, float]] = []
    limits = aiohttp.ClientTimeout(total=LONGEST)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, timeout=limits, connector=connector) as session:
        paths = await mixed(session)
        beside = [asyncio.create_task(_listen(url)) for _ in range(LISTENERS)]
        silent = [_silent(url) for _ in range(SILENT)]
        before = await _position(session)
        begin = time.perf_counter() + 0.1
        asking = []
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asking.append(asyncio.create_task(_ask(session, next(paths), due, found)))
        await asyncio.gather(*asking)
        took = time.perf_counter() - begin
        after = await _position(session)
        for task in beside:
            task.cancel()
        messages = sum(each for each in await asyncio.gather(*beside) if each)
        for connection in silent:
            connection.close()
    return {"asked": found, "seconds": took, "before": before, "after": after, "messages": messages}


async def _ask(
    session: aiohttp.ClientSession, what: tuple[str, str], due: float, found: list[tuple[str, int, float]]
) -> None:
    kind, path = what
    status = 0  # no answer
    try:
        async with session.get(path) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    found.append((kind, status, time.perf_counter() - due))


async def mixed(session: aiohttp.ClientSession) -> Iterator[tuple[str, str]]:
    """What people and programs ask, by what is in the index now."""
    draw = random.Random(SEED)
    tasks = await _data(session, "/api/tasks?limit=500")
    sources = [each["address"] for each in await _data(session, "/api/sources?limit=500")]
    providers = [each["address"] for each in await _data(session, "/api/providers?limit=500")]
    async with session.get("/api/events?limit=100") as response:
        cursor = (await response.json())["next"]
    kinds: dict[str, Callable[[], str]] = {
        "task": lambda: f"/api/tasks/{draw.choice(tasks)['address']}",
        "tasks": lambda: f"/api/tasks?limit={draw.randint(10, 100)}",
        "tasks, filtered": lambda: f"/api/tasks?source={draw.choice(sources)}&status=FINALIZED&limit=50",
        "tasks, sorted": lambda: "/api/tasks?sort=-payment&limit=50",
        "source": lambda: f"/api/sources/{draw.choice(sources)}",
        "providers": lambda: "/api/providers?sort=-earned",
        "responses": lambda: f"/api/responses?provider={draw.choice(providers)}",
        "account": lambda: f"/api/accounts/{draw.choice(providers)}",
        "account's events": lambda: f"/api/events?account={draw.choice(providers)}&limit=50",
        "events, next page": lambda: f"/api/events?limit=100&cursor={cursor}",
        "statistics": lambda: "/api/statistics?width=3600",
        "search": lambda: f"/api/search?q={draw.choice(tasks)['address'].lower()}",
        "search, beginning": lambda: f"/api/search?q={draw.choice(tasks)['address'][:8].lower()}",
        "page: overview": lambda: "/",
        "page: task": lambda: f"/tasks/{draw.choice(tasks)['address']}",
    }

    def endless() -> Iterator[tuple[str, str]]:
        names = list(kinds)
        while True:
            name = draw.choice(names)
            yield name, kinds[name]()

    return endless()


async def _data(session: aiohttp.ClientSession, path: str) -> list[dict[str, Any]]:
    async with session.get(path) as response:
        return list((await response.json())["data"])


async def _position(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/api/statistics?width=86400") as response:
        events = (await response.json())["data"]["totals"]["events"]
    async with session.get("/api/status") as response:
        return {**(await response.json())["data"], "events": events}


async def _listen(url: str) -> int:
    """Read live changes until cancelled; how many came."""
    count = 0
    try:
        async with aiohttp.ClientSession(url) as session, session.get("/api/live") as response:
            async for line in response.content:
                count += line.startswith(b"event: change")
    except (asyncio.CancelledError, aiohttp.ClientError):
        pass
    return count


def _silent(url: str) -> socket.socket:
    """A connection that asks for more than its buffers take, and reads nothing."""
    host, _, port = url.removeprefix("http://").partition(":")
    found = socket.create_connection((host, int(port)))
    found.sendall(f"GET /api/openapi.json HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 100)
    return found


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(asyncio.run(loaded(told))))
