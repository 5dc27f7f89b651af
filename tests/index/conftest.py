"""Every database that an index can be in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support import postgres
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests."""
    with postgres.running() as running:
        yield running


SAID = pytest.StashKey[list[str]]()


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What is to be read below the results, also when nothing went wrong."""
    return request.config.stash.setdefault(SAID, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show it."""
    for line in config.stash.get(SAID, []):
        terminalreporter.write_line(line)
