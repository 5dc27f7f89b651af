"""The indexer as a process of its own: `python -m ogpu.web.indexing`, with its job on standard input.

The job is one line of JSON. When standard input ends, whoever started it is gone, and it ends as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from dataclasses import dataclass
from typing import Any

from ogpu.errors import FinalityBroken, IndexMismatch, OGPUError
from ogpu.indexer.documents import Bounds
from ogpu.indexer.keep import Keeping, emptied, keep_index
from ogpu.indexer.place import Place, place_of
from ogpu.networks import Network, parse_network
from ogpu.safejson import parse_json
from ogpu.text import printable
from ogpu.web.served import Served

logger = logging.getLogger(__name__)

RUNNING = "The indexer runs."  # what it says once it does
FAILED = 1
JOB_SECONDS = 10.0
LONGEST_JOB = 1 << 20


@dataclass(frozen=True)
class Job:
    """What is to be indexed, and where. It may hold a password, and is not to be shown."""

    network: Network
    place: Place
    first_block: int
    anew: bool

    @classmethod
    def of(cls, served: Served) -> Job:
        """What a server needs."""
        return cls(served.network, served.place, served.first_block, served.anew)

    def written(self) -> bytes:
        """The job as a line; accounts are left out, as nothing here signs."""
        network = self.network
        document: dict[str, Any] = {
            "name": network.name,
            "chain_id": network.chain_id,
            "rpc_urls": network.rpc_urls,
            "contracts": dict(network.contracts),
            "content": {"upload_url": network.upload_url, "gateway_url": network.gateway_url},
            "management_url": network.management_url,
        }
        if network.ws_urls:
            document["ws_urls"] = network.ws_urls
        place = self.place.url or str(self.place.path)
        job = {"network": document, "place": place, "first_block": self.first_block, "anew": self.anew}
        return json.dumps(job).encode() + b"\n"


def job_of(line: bytes) -> Job:
    """The job that a line is."""
    told: dict[str, Any] = parse_json(line)
    network = parse_network(told["network"], "of the server")
    return Job(network, place_of(told["place"]), int(told["first_block"]), bool(told["anew"]))


async def indexed(job: Job) -> None:
    """Follow the chain until cancelled."""
    bounds = Bounds.from_settings()
    keeping = Keeping(job.network, job.place, job.first_block, bounds, may_be_wound_back=job.anew)
    while True:
        try:
            await keep_index(keeping)
        except (FinalityBroken, IndexMismatch) as error:
            if not job.anew or error.facts.get("reason") in ("newer", "foreign"):
                raise
            logger.warning("the chain is another one now: its index is made anew")
            await asyncio.to_thread(emptied, job.place)


async def _work() -> None:
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    assert running is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    reader = asyncio.StreamReader(limit=LONGEST_JOB)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.timeout(JOB_SECONDS):
        job = job_of(await reader.readline())
    parent = asyncio.create_task(reader.read())
    work = asyncio.create_task(indexed(job))
    _say(RUNNING)
    try:
        await asyncio.wait([parent, work], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (parent, work):
            task.cancel()
        await asyncio.gather(parent, work, return_exceptions=True)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    """Do the job of standard input; what fails is said on standard error."""
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    try:
        asyncio.run(_work())
    except asyncio.CancelledError:
        return 0
    except OGPUError as error:
        _say(printable(str(error)))
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
