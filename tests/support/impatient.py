"""A server with little patience over an index: `python -m tests.support.impatient INDEX NETWORK_FILE`."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ogpu.indexer.place import place_of
from ogpu.localnet.processes import end_with_parent
from ogpu.networks import load_network_file
from ogpu.web.limits import Limits
from ogpu.web.served import Served
from ogpu.web.serving import listening, serve
from tests.support.serving import Server

LIMITS = Limits(rate=0, header_seconds=1, write_seconds=1, heartbeat=0.2, listeners_each=4, patience=0.2)


def main() -> None:
    """Serve until the end of whoever started it."""
    index, network = sys.argv[1:]
    served = Served(load_network_file(Path(network)), place_of(index), LIMITS, indexes=False)
    place = listening("127.0.0.1", 0)
    print(f"http://127.0.0.1:{place.getsockname()[1]}", flush=True)
    asyncio.run(serve(served, place, lambda line: print(line, file=sys.stderr)))


@contextlib.contextmanager
def impatient(index: Path, network_file: Path) -> Iterator[Server]:
    """Such a server."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(index), str(network_file)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        preexec_fn=end_with_parent(),
    ) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().decode().strip(), process, index)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
