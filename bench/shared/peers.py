"""A published package, connected to the local network; imported by its own interpreter.

What changes is where the package connects to, and nothing of what it does: its tables of RPC URLs and
contracts are data, and the one URL that is a literal, the upload's, is redirected in `requests`.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

UPLOAD = "https://capi.ogpuscan.io/file/create"


def pointed(job: dict[str, Any]) -> Any:
    """The package's `ogpu.client`, connected to the local network under the testnet's name."""
    client = importlib.import_module("ogpu.client")
    try:
        config, manager = (
            importlib.import_module("ogpu.chain.config"),
            importlib.import_module("ogpu.chain.web3"),
        )
    except ImportError:  # 0.2.0
        config = importlib.import_module("ogpu.client.chain_config")
        manager = importlib.import_module("ogpu.client.web3_manager")
    testnet = config.ChainId.OGPU_TESTNET
    config.ChainConfig.CHAIN_CONTRACTS[testnet].update(job["contracts"])
    config.ChainConfig.set_chain(testnet)
    manager.Web3Manager.update_rpc_url(testnet, job["url"])
    return client


class Stopped(BaseException):
    """The time is over; no `except Exception` of a package takes this for an error."""


class Requests:
    """Counts the HTTP requests of this process, and sends uploads to the local content service.

    From `stop_at`, a time of `time.perf_counter`, they raise `Stopped`.
    """

    def __init__(self, upload_url: str = UPLOAD) -> None:
        self.count = self.total = 0
        self.stop_at = float("inf")
        session = importlib.import_module("requests").Session
        request, send = session.request, session.send

        def redirected(own: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            return request(own, method, upload_url if url == UPLOAD else url, *arguments, **options)

        def counted(*arguments: Any, **options: Any) -> Any:
            if time.perf_counter() > self.stop_at:
                raise Stopped
            self.count += 1
            self.total += 1
            return send(*arguments, **options)

        session.request, session.send = redirected, counted
