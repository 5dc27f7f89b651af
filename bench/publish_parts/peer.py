"""The publisher that uses a published package: PYTHON -m publish_parts.peer JOB, run by `job.run`.

The interpreter is that of the package's own environment.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from shared.peers import Requests, pointed


class Calls:
    """The calls of `publish_task`, and what became of each."""

    def __init__(self, client: Any, job: dict[str, Any]) -> None:
        self._client = client
        self._job = job
        self.addresses: list[str] = []
        self.errors: list[tuple[str, str]] = []

    def publish(self, position: int) -> None:
        """Publish one task."""
        client, job = self._client, self._job
        data = {"text": "A sentence to be looked at.", "position": position}
        info = client.TaskInfo(
            source=job["source"],
            config=client.TaskInput(function_name="echo", data=data),
            expiryTime=job["expiry"],
            payment=job["payment"],
        )
        try:
            published = client.publish_task(info, private_key=job["key"])
        except Exception as error:  # noqa: BLE001 - whatever it raises is the result
            self.errors.append((type(error).__name__, " ".join(str(error).split())))
        else:
            self.addresses.append(str(getattr(published, "address", published)))


def main(job: dict[str, Any]) -> None:
    """Publish the tasks, and tell what it took."""
    requests = Requests(job["upload_url"])
    calls = Calls(pointed(job), job)
    calls.publish(-1)
    if calls.errors:
        raise SystemExit(f"{calls.errors[0][0]}: {calls.errors[0][1]}")
    calls.addresses.clear()
    web3 = importlib.import_module("web3")
    first_block = web3.Web3(web3.HTTPProvider(job["url"])).eth.block_number
    requests.count, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, begin = time.process_time(), time.perf_counter()
    pool = concurrent.futures.ThreadPoolExecutor(job["threads"])
    futures = [pool.submit(calls.publish, position) for position in range(job["count"])]
    concurrent.futures.wait(futures, timeout=job["deadline"])
    wall = time.perf_counter() - begin
    names = [name for name, _ in calls.errors]
    result = {
        "wall": wall,
        "cpu": time.process_time() - cpu,
        "requests": requests.count,
        "rss_before": before * 1024,
        "rss_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "first_block": first_block,
        "addresses": list(calls.addresses),
        "errors": {name: names.count(name) for name in names},
        "said": calls.errors[0][1][:300] if calls.errors else "",
        "unfinished": job["count"] - len(calls.addresses) - len(names),
    }
    Path(job["result"]).write_text(json.dumps(result))
    os._exit(0)  # calls that hang are left


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
