"""The web application as a process of its own: `python -m tests.support.page_server INDEX PORT [NETWORK]`."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from ogpu.indexer.place import place_of
from ogpu.localnet.processes import end_with_parent
from ogpu.networks import load_network_file
from ogpu.web.app import create_app
from ogpu.web.limits import Limits
from ogpu.web.reading import Index
from tests.support.localnet import wait_until
from tests.support.ports import kept

LIMITS = Limits(rate=0)


def main() -> None:
    """Serve until the end of whoever started it."""
    index, port, *network = sys.argv[1:]
    chosen = load_network_file(Path(network[0])) if network else None
    app = create_app(Index(place_of(index), LIMITS), chosen, limits=LIMITS)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", timeout_graceful_shutdown=1)


@contextlib.contextmanager
def serving(index: Path, *network: Path) -> Iterator[str]:
    """The address of a server over an index."""
    with kept() as port:
        base = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", __name__, str(index), str(port), *map(str, network)]
        with subprocess.Popen(
            command, preexec_fn=end_with_parent(), cwd=Path(__file__).parents[2]
        ) as process:
            try:
                wait_until(lambda: process.poll() is not None or _answers(base), what="the server")
                yield base
            finally:
                process.terminate()


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
