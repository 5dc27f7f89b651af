"""Work for the networks of these tests: sources, tasks, and what became of them."""

from __future__ import annotations

import time
from typing import Any

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.types import DeliveryMethod, Response, TaskInfo, TaskInput
from tests.localnet.commands import Run
from tests.support.market import source_info

PRICE = 10**16


def client_of(run: Run) -> Client:
    """A client of the network with a key that it made."""
    network = load_network_file(run.file)
    return Client(network, private_key=network.accounts["client"][0].private_key)


def publish_source(client: Client, **changes: Any) -> str:
    """A source of the first response."""
    return client.publish_source(source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE, **changes))


def publish(client: Client, source: str, function: str = "echo", seconds: int = 600, **data: Any) -> str:
    """A task that calls a function."""
    work = TaskInput(function, data or {"n": 1})
    return client.publish_task(TaskInfo(source, work, int(time.time()) + seconds, PRICE))


def answer(client: Client, task: str, timeout: float = 30) -> tuple[Response, Any]:
    """The response to a task, and its result."""
    response = client.wait_for_response(task, timeout=timeout)
    return response, client.fetch_result(response)
