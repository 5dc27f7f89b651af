"""A server that has just begun asks itself for one of everything: nobody waits then for what is made once."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from starlette.types import ASGIApp, Message

from ogpu.rpc.codec import ZERO_ADDRESS
from ogpu.web.page_views import VIEWS
from ogpu.web.routes import LISTS

logger = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds until there is an index
OTHERS = (
    "/api/openapi.json",
    "/api/statistics",
    "/api/search?q=0x0000",
    f"/api/tasks/{ZERO_ADDRESS}",  # which also asks the node
)


def asked_first() -> list[str]:
    """A path of each kind."""
    return [*(path for path in VIEWS if "{" not in path), *(f"/api/{name}" for name, *_ in LISTS), *OTHERS]


async def warmed(app: FastAPI) -> None:
    """Ask for all of it, once there is an index, though that may be empty still."""
    if not await app.state.live.until(lambda now: True, PATIENCE):
        return
    try:
        for path in asked_first():
            await get(app, path)
    except Exception:
        logger.exception("asking for all once went wrong")


async def get(app: ASGIApp, path: str) -> int:
    """A request without a connection; the status of its answer, which nobody reads."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "client": None,
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]
