"""The publisher that uses this library: python -m publish_parts.ours JOB, run by `job.run`."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from ogpu import AsyncClient
from ogpu.client import TaskInfo, TaskInput
from ogpu.networks import load_network_file
from shared.counting import Requests
from shared.network import HAS_JOURNAL, rpc


def info(job: dict[str, Any], position: int) -> TaskInfo:
    """A task that differs from all others."""
    data = TaskInput("echo", {"text": "A sentence to be looked at.", "position": position})
    return TaskInfo(job["source"], data, job["expiry"], job["payment"])


async def publish_all(client: AsyncClient, infos: list[TaskInfo]) -> list[Any]:
    """Publish many: an address or an error for each."""
    if hasattr(client, "publish_tasks"):
        found: list[Any] = await client.publish_tasks(infos, return_exceptions=True)
        return found
    return await asyncio.gather(*map(client.publish_task, infos), return_exceptions=True)


async def publish(job: dict[str, Any]) -> dict[str, Any]:
    """Publish the tasks, and tell what it took."""
    requests = Requests()
    network = load_network_file(Path(job["file"]))
    options: Any = {"journal": job["journal"]} if HAS_JOURNAL else {}
    async with AsyncClient(network, private_key=job["key"], **options) as client:
        await client.publish_task(info(job, -1))
        infos = [info(job, position) for position in range(job["count"])]
        first_block = int(rpc(job["url"], "eth_blockNumber"), 16)
        requests.count, rss = 0, psutil.Process().memory_info().rss
        cpu, begin = time.process_time(), time.perf_counter()
        results = await publish_all(client, infos)
        wall = time.perf_counter() - begin
    cpu = time.process_time() - cpu  # with what is left to do when the client closes
    failed = [result for result in results if isinstance(result, BaseException)]
    names = [type(error).__name__ for error in failed]
    return {
        "wall": wall,
        "cpu": cpu,
        "requests": requests.count,
        "rss_before": rss,
        "rss_peak": peak_rss(),
        "first_block": first_block,
        "addresses": [result for result in results if isinstance(result, str)],
        "errors": {name: names.count(name) for name in names},
        "said": str(failed[0])[:300] if failed else "",
        "unfinished": 0,
    }


def peak_rss() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(asyncio.run(publish(told))))
