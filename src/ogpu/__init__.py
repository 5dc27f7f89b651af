"""The OpenGPU network from Python. Importing this has no effect and loads nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.errors import OGPUError
    from ogpu.executor import NetworkExecutor
    from ogpu.networks import Network
    from ogpu.sync import Client
    from ogpu.tx.state import Policy
    from ogpu.work.terms import Retry

__all__ = [
    "AsyncClient",
    "Client",
    "Network",
    "NetworkExecutor",
    "OGPUError",
    "Policy",
    "Retry",
    "__version__",
]

__version__ = "0.3.0"

_HOMES = {
    "AsyncClient": "ogpu.aio",
    "Client": "ogpu.sync",
    "Network": "ogpu.networks",
    "NetworkExecutor": "ogpu.executor",
    "OGPUError": "ogpu.errors",
    "Policy": "ogpu.tx.state",
    "Retry": "ogpu.work.terms",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ogpu' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
