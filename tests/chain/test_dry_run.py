"""A client whose policy is to send nothing: what it says is true, and nothing leaves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.support.localnet import RunningNetwork

from ogpu import Client, Policy
from ogpu.errors import ContractReverted, DryRun, InsufficientVaultBalance, OGPUError
from ogpu.networks import load_network_file
from ogpu.types import ImageEnvironments, SourceInfo, TaskInfo, TaskInput

COIN = 10**18
INFO = SourceInfo("s", "d", "", ImageEnvironments(cpu="https://example.org/c.yml"), 10**15, 0, 3600)


def task(source: str, payment: int = 10**16) -> TaskInfo:
    return TaskInfo(source, TaskInput("echo", {"at": payment}), int(time.time()) + 600, payment)


@pytest.fixture
def dry(bare: RunningNetwork) -> Iterator[Client]:
    """It could not upload anything if it tried."""
    network = replace(load_network_file(bare.file), upload_url="http://127.0.0.1:9/none")
    with Client(network, policy=Policy(dry_run=True)) as client:
        yield client


@pytest.fixture
def source(bare: RunningNetwork) -> str:
    with Client() as client:
        return client.publish_source(INFO)


def test_every_way_of_sending_says_its_cost_and_sends_nothing(
    bare: RunningNetwork, dry: Client, source: str
) -> None:
    asked: dict[str, tuple[Callable[[], Any], int]] = {
        "Nexus.publishSource": (lambda: dry.publish_source(INFO), 0),
        "Controller.publishTask": (lambda: dry.publish_task(task(source)), 10**16),
        "Nexus.updateSource": (lambda: dry.source(source).update(INFO), 0),
        "Nexus.inactivateSource": (lambda: dry.source(source).inactivate(), 0),
        "Vault.deposit": (lambda: dry.vault.deposit(COIN, role="client"), COIN),
    }
    before = (dry.get_nonce_info(), dry.intents())
    for label, (call, moved) in asked.items():
        with pytest.raises(DryRun) as caught:
            call()
        facts = caught.value.facts
        assert (facts["call"], facts["sender"]) == (label, bare.address())
        assert facts["value"] + facts["payment"] == moved
        assert facts["total"] == moved + facts["gas_cost"]
        assert facts["gas_cost"] == facts["gas"] * facts["max_fee"] > 0
        assert facts["state"] is None
    assert (dry.get_nonce_info(), dry.intents()) == before


def test_what_would_fail_fails_in_a_dry_run_too(dry: Client, source: str) -> None:
    with pytest.raises(InsufficientVaultBalance):
        dry.publish_task(task(source, 10**30))
    with pytest.raises(ContractReverted):
        dry.vault.unbond(10**30, role="client")


def test_a_key_that_was_used_is_said_with_what_became_of_it(dry: Client, source: str) -> None:
    with Client() as client:
        client.publish_task(task(source), idempotency_key="once")
    with pytest.raises(DryRun, match="asked for before") as caught:
        dry.publish_task(task(source), idempotency_key="once")
    assert caught.value.facts["state"] == "done"


@pytest.mark.parametrize(
    "mend", [lambda c: c.fix_nonce(), lambda c: c.recover(), lambda c: c.cancel("a"), lambda c: c.bump("a")]
)
def test_mending_is_refused(dry: Client, mend: Callable[[Client], object]) -> None:
    with pytest.raises(DryRun):
        mend(dry)


def test_the_policy_is_checked(bare: RunningNetwork) -> None:
    with pytest.raises(OGPUError, match="dry_run"):
        Client(policy=Policy(dry_run=1))  # type: ignore[arg-type]
