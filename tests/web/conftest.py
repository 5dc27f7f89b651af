"""One network on which work was done, and a server over its index, for all tests of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.types import DeliveryMethod
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, source_info, task_info
from tests.support.serving import Server, serve


@pytest.fixture(scope="session")
def worked_network(working_network: RunningNetwork) -> RunningNetwork:
    """The network with a provider, after some tasks: confirmed, answered, canceled and new ones."""
    network = load_network_file(working_network.file)
    with Client(network, private_key=working_network.key(), journal=":memory:") as client:
        first = client.publish_source(source_info(deliveryMethod=DeliveryMethod.FIRST_RESPONSE))
        manual = client.publish_source(source_info())
        answered = [client.publish_task(task_info(first, n=number)) for number in range(3)]
        waiting = [client.publish_task(task_info(manual, n=number)) for number in range(3)]
        for task in (*answered, *waiting):
            client.wait_for_response(task, timeout=60)
        client.confirm_response(client.get_task_responses(waiting[0])[0].address)
        client.publish_task(task_info(manual, function="nothing_that_is_there"))
        client.vault.deposit(PRICE, private_key=working_network.key())
    return working_network


@pytest.fixture(scope="session")
def server(worked_network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over the index of that network, which has reached its head."""
    options = ("--rate-limit", "0", "--max-url", "16384")  # Schemathesis takes no 414 for a refusal
    with serve(tmp_path_factory.mktemp("serve"), worked_network.file, *options) as running:
        wait_until(running.ready, 60, "the index")
        yield running
