"""The reader that uses a published package: PYTHON -m read_parts.peer JOB, run by `program.run`.

The interpreter is that of the package's own environment. 0.2.3 gives responses and tasks as objects that ask
the node at each call; `snapshot()`, which they offer, gives all that ours gives, and is what is read here.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from shared.peers import Requests, Stopped, pointed

SLOW = 10.0  # seconds, after which one round is enough


class NotOffered(Exception):
    """The package cannot read that."""


def rows(client: Any, case: dict[str, Any]) -> list[tuple[str, str]]:
    """Read once."""
    if case["kind"] == "tasks":
        if not hasattr(client, "Task"):
            raise NotOffered
        snapshots = [client.Task(address).snapshot() for address in case["tasks"]]
        return [(str(task.address), str(task.source)) for task in snapshots]
    read = importlib.import_module("ogpu.client").get_task_responses
    found = []
    for response in read(case["tasks"][0]):
        if hasattr(response, "snapshot"):
            response = response.snapshot().params
        found.append((str(response.provider), str(response.data)))
    return found


def measured(client: Any, case: dict[str, Any], requests: Requests) -> dict[str, Any]:
    """The rounds of one case, in seconds: one when it takes long, and that not past the deadline."""
    found: dict[str, Any] = {"seconds": [], "cpu": [], "requests": [], "stopped": False, "error": ""}
    for _ in range(case["rounds"]):
        requests.count = 0
        cpu, begin = time.process_time(), time.perf_counter()
        requests.stop_at = float("inf") if found["seconds"] else begin + case["deadline"]
        try:
            found["rows"] = rows(client, case)
        except NotOffered:
            return {**found, "error": "not offered", "rows": []}
        except Stopped:
            found["stopped"], found["rows"] = True, []
        except Exception as error:  # noqa: BLE001 - whatever it raises is the result
            found["error"], found["rows"] = " ".join(f"{type(error).__name__}: {error}".split())[:300], []
        found["seconds"].append(time.perf_counter() - begin)
        found["cpu"].append(time.process_time() - cpu)
        found["requests"].append(requests.count)
        if found["error"] or found["seconds"][-1] > SLOW:
            break
    return found


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Read all cases, after one that is not counted."""
    requests = Requests()
    client = pointed(job)
    rows(client, job["warm"])
    cases = [measured(client, case, requests) for case in job["cases"]]
    return {"cases": cases, "first_requests": 0, "requests": requests.total}


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(main(told)))
