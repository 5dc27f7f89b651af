"""What the index says after each role has done all that it can, beside what the chain itself says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from ogpu.indexer import tables
from ogpu.indexer.database import engine
from ogpu.indexer.effects import EFFECTS
from ogpu.indexer.place import Place
from ogpu.networks import load_network_file
from tests.support.indexing import dumped, indexed
from tests.support.localnet import RunningNetwork
from tests.support.past import Past, lived

TASK = ("status", "attempt_count", "winning_provider", "config_url", "payment", "expiry_time", "source")
FIGURES = ("balance", "lockup", "unbonding", "unbonding_matures", "sanctioned", "earned")


@pytest.fixture(scope="module")
def past(bare_network: RunningNetwork) -> Iterator[Past]:
    """A chain on which all of the protocol has happened."""
    with lived(bare_network) as world:
        yield world


@pytest.fixture(scope="module")
def place(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Its index."""
    network = load_network_file(past.network.file)
    return indexed(network, tmp_path_factory.mktemp("index") / "index.sqlite3")


@pytest.fixture
def index(place: Place) -> Iterator[Connection]:
    """A look into it."""
    with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
        yield connection


def test_every_kind_of_event_is_in_the_index(index: Connection) -> None:
    found = set(index.execute(select(tables.events.c.contract, tables.events.c.kind).distinct()))
    assert {tuple(row) for row in found} == set(EFFECTS)


def test_a_second_index_of_the_same_chain_has_the_same_bytes(
    past: Past, place: Place, tmp_path: Path
) -> None:
    again = indexed(load_network_file(past.network.file), tmp_path / "again.sqlite3")
    assert dumped(again) == dumped(place)


def test_tasks_are_as_the_chain_has_them(past: Past, index: Connection) -> None:
    rows = {row.address: row for row in index.execute(select(tables.tasks))}
    snapshots = past.client.tasks(past.tasks)
    assert len(snapshots) >= 6
    for there in snapshots:
        row = rows[there.address]
        assert [getattr(row, name) for name in TASK] == [getattr(there, name) for name in TASK]


def test_accounts_are_as_the_vault_has_them(past: Past, index: Connection) -> None:
    rows = list(index.execute(select(tables.accounts)))
    assert {past.address(name) for name in ("client", "provider", "third", "saver")} <= {
        r.address for r in rows
    }
    for row in rows:
        there = past.client.vault.account(row.address)
        assert [getattr(row, name) for name in FIGURES] == [getattr(there, name) for name in FIGURES]
