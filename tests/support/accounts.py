"""Networks on which each test has an account of its own, and which are wound back after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.localnet import started
from tests.support.stage import Case, Stage, publish_source, staged


@pytest.fixture(scope="session")
def quick_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A network that mines each transaction at once, with a source."""
    with staged(tmp_path_factory.mktemp("quick")) as stage:
        yield stage


@pytest.fixture(scope="session")
def slow_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A network that mines at once until a test says otherwise, and then only when it says so."""
    with started(tmp_path_factory.mktemp("slow"), "--no-provider", "--block-time", "3600") as network:
        network.rpc("evm_setAutomine", True)
        yield Stage(network, publish_source(network))


@pytest.fixture
def case(quick_stage: Stage) -> Iterator[Case]:
    """A fresh account where each transaction is mined at once."""
    with quick_stage.case() as fresh:
        yield fresh


@pytest.fixture
def slow(slow_stage: Stage) -> Iterator[Case]:
    """A fresh account where blocks are mined only when the test says so."""
    with slow_stage.case() as fresh:
        fresh.automine(False)
        yield fresh
