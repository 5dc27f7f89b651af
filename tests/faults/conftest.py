"""What the proofs of the transaction engine run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.stage import Case, Stage, staged


@pytest.fixture(scope="session")
def engine_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A network without a provider that mines at once, with a source."""
    with staged(tmp_path_factory.mktemp("engine")) as stage:
        yield stage


@pytest.fixture
def case(engine_network: Stage) -> Iterator[Case]:
    """A fresh account on it; the chain is wound back after the test."""
    with engine_network.case() as fresh:
        yield fresh
