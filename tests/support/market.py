"""Things that most tests need: a source, a task, a network behind a proxy."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ogpu import AsyncClient, Client
from ogpu.client import DeliveryMethod, ImageEnvironments, SourceInfo, TaskInfo, TaskInput
from ogpu.networks import Network, load_network_file
from tests.support.canaries import secret_url
from tests.support.localnet import RunningNetwork

PRICE = 10**16


def source_info(**changes: Any) -> SourceInfo:
    """A source that can be published."""
    info = SourceInfo(
        name="Sentiment",
        description="Tells how a text sounds.",
        logoUrl="https://example.org/logo.png",
        imageEnvs=ImageEnvironments(
            cpu="https://example.org/cpu.yml", nvidia="https://example.org/nvidia.yml"
        ),
        minPayment=10**15,
        minAvailableLockup=0,
        maxExpiryDuration=86400,
        deliveryMethod=DeliveryMethod.MANUAL_CONFIRMATION,
    )
    return replace(info, **changes)


def task_info(source: str, function: str = "echo", **data: Any) -> TaskInfo:
    """A task of that source, due in one hour."""
    return TaskInfo(source, TaskInput(function, data or {"n": 1}), int(time.time()) + 3600, PRICE)


def core_of(client: Client) -> AsyncClient:
    """The asynchronous client behind a synchronous one."""
    return client._portal._running()[0]


def through(network: RunningNetwork, *urls: str) -> Network:
    """The network with other RPC URLs, such as a proxy's, each with a secret in it."""
    return replace(load_network_file(network.file), rpc_urls=tuple(map(secret_url, urls)))


def set_policy(client: Client, **changes: Any) -> None:
    """Change how an open client sends."""
    transactions = core_of(client).chain.transactions
    transactions.policy = replace(transactions.policy, **changes)
