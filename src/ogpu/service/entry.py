"""`start()`: serve this process's handlers over HTTP."""

from __future__ import annotations

from ogpu.service.config import read_settings
from ogpu.service.registry import registry


def start(host: str | None = None, port: int | None = None) -> None:
    """Serve the handlers until SIGTERM or SIGINT.

    The default is 0.0.0.0:5555; OGPU_SERVICE_HOST and OGPU_SERVICE_PORT change it, arguments win. In a
    provider's worker, which runs the handlers itself, it returns at once.
    """
    settings = read_settings()
    if settings.in_worker:
        return
    from ogpu.service.server import serve  # brings aiohttp, which a worker never needs

    serve(registry, settings.listening(host, port))
