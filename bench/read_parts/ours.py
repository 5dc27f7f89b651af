"""The reader that uses this library: python -m read_parts.ours JOB, run by `program.run`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.rpc import codec
from shared.counting import Requests


def rows(client: Client, case: dict[str, Any]) -> list[tuple[str, str]]:
    """Read once."""
    if case["kind"] == "tasks":
        return [(task.address, task.source) for task in client.tasks(case["tasks"])]
    return [(response.provider, response.data) for response in client.get_task_responses(case["tasks"][0])]


def measured(client: Client, case: dict[str, Any], requests: Requests) -> dict[str, Any]:
    """The rounds of one case, in seconds; each as if its addresses had never been seen."""
    found: dict[str, Any] = {"seconds": [], "cpu": [], "requests": [], "stopped": False, "error": ""}
    for _ in range(case["rounds"]):
        codec._remembered.cache_clear()
        requests.count = 0
        cpu, begin = time.process_time(), time.perf_counter()
        found["rows"] = rows(client, case)
        found["seconds"].append(time.perf_counter() - begin)
        found["cpu"].append(time.process_time() - cpu)
        found["requests"].append(requests.count)
    return found


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Read all cases on a client that has read before, and the one of `first` on a new client."""
    requests, network = Requests(), load_network_file(Path(job["file"]))
    network = replace(network, rpc_urls=(job["url"],))
    with Client(network, journal=":memory:") as client:
        rows(client, job["warm"])
        cases = [measured(client, case, requests) for case in job["cases"]]
    with Client(network, journal=":memory:") as client:
        requests.count = 0
        rows(client, job["first"])
        first = requests.count
    return {"cases": cases, "first_requests": first, "requests": requests.total}


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(main(told)))
