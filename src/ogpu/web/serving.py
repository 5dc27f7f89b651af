"""The server: one process that answers, and beside it the one that indexes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import uvicorn

from ogpu.errors import ConfigurationError
from ogpu.web.app import create_app
from ogpu.web.guard import LARGEST_HEAD, Guard, Hosts
from ogpu.web.impatience import impatient
from ogpu.web.keeping import Keeper
from ogpu.web.limits import Limits
from ogpu.web.reading import Index
from ogpu.web.served import Served

KEEP_ALIVE = 15  # seconds
GOODBYE = 3  # seconds for what is being answered when the server ends
BACKLOG = 256


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            hint="End the program that has the port, or choose another with --port.",
        ) from None
    return found


async def serve(served: Served, place: socket.socket, report: Callable[[str], None]) -> None:
    """Serve until cancelled, and end what was started."""
    keeper = Keeper(served, report) if served.indexes else None
    guard = create_app(
        Index(served.place, served.limits),
        served.network,
        limits=served.limits,
        hosts=Hosts(served.hosts),
        origins=served.origins,
        keeper=keeper,
    )
    server = _Server(_configured(guard, served.limits))
    gc.collect()
    gc.freeze()  # what is loaded stays; to look at all of it took every full collection a tenth of a second
    async with contextlib.AsyncExitStack() as stack:
        if keeper:
            await stack.enter_async_context(keeper)
        serving = asyncio.create_task(server.serve([place]))
        try:
            await asyncio.shield(serving)
        finally:
            if server.started:
                guard.app.state.live.close()
            server.should_exit = True
            await serving


def _configured(guard: Guard, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        guard,
        http=impatient(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whoever asks could name any address
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GOODBYE,
        h11_max_incomplete_event_size=LARGEST_HEAD,  # of one that comes in pieces
    )


class _Server(uvicorn.Server):
    """Signals are the command's to take."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
