"""One backfill, in a process of its own: python fill.py JOB; the job names network, database and head."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from ogpu.indexer.place import place_of
from ogpu.indexer.run import Indexer
from ogpu.networks import parse_network
from ogpu.rpc.transport import RPC

LOOK = 0.02  # seconds


async def filled(job: dict[str, Any]) -> dict[str, float]:
    """Index up to the head; seconds, seconds of CPU, and the most memory of this process in bytes."""
    network = parse_network(job["network"], "of the benchmark")
    rpc = RPC(network.rpc_urls, network.chain_id)
    before = _memory()
    indexer = Indexer(rpc, network, place_of(job["database"]))
    begin, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(indexer.run())
    try:
        while indexer.progress.number < job["head"] and not running.done():
            await asyncio.sleep(LOOK)
        seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        await rpc.close()
    if not isinstance(ended, asyncio.CancelledError):
        raise SystemExit(f"the indexer ended: {ended}")
    return {"seconds": seconds, "cpu_seconds": used, "memory": _memory(), "memory_before": before}


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(asyncio.run(filled(told))))
