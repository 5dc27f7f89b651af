"""Every test of the journal runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One server for all tests."""
    with postgres.running() as running:
        yield running


@pytest.fixture
def database(server: PostgresServer) -> str:
    """The URL of an empty schema."""
    return server.fresh_schema()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "journal.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest) -> str:
    """A place for a journal, empty."""
    return str(request.getfixturevalue("file" if request.param == "sqlite" else "database"))
