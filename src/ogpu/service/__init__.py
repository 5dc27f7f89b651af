"""What the author of a service writes: handlers, one initialisation, and `start()` at the bottom."""

from __future__ import annotations

from ogpu.service.decorators import expose, init
from ogpu.service.entry import start
from ogpu.service.logs import logger

__all__ = ["expose", "init", "logger", "start"]
