"""Registrations, providers, masters, agents and accounts beside Terminal and the Vault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from ogpu.indexer.checking.findings import Finding, Note, compared
from ogpu.indexer.checking.views import NOTHING, Chain, View, pages
from ogpu.indexer.happenings import present, stored_text
from ogpu.indexer.tables import accounts, agents, masters, providers, registrations, vault_movements

Row = dict[str, Any]

FIGURES = {
    "balance": "balanceOf",
    "lockup": "lockupOf",
    "unbonding": "unbondingOf",
    "unbonding_matures": "unbondingTimestamp",
    "sanctioned": "sanctionOf",
    "earned": "totalEarningsOf",
}


@dataclass(frozen=True)
class Kind:
    """How rows of a table are compared: which views there are, and the columns that they are."""

    table: Table
    views: Callable[[Chain, Row], list[View]]
    columns: Callable[[Sequence[Any]], dict[str, Any]]


def _provider_views(chain: Chain, row: Row) -> list[View]:
    names = ("masterOf", "baseDataOf", "liveDataOf")
    terminal = [chain.core("Terminal", name, row["address"]) for name in names]
    return [*terminal, chain.core("Vault", "totalEarningsOf", row["address"])]


def _provider_columns(values: Sequence[Any]) -> dict[str, Any]:
    master, base, live, earned = values
    told = {"master": present(master), "base_data": stored_text(base), "live_data": stored_text(live)}
    return {**told, "earned": earned}


def _account_views(chain: Chain, row: Row) -> list[View]:
    return [chain.core("Vault", function, row["address"]) for function in FIGURES.values()]


def _registration_views(chain: Chain, row: Row) -> list[View]:
    names = ("getRegistrantId", "preferredEnvironmentOf")
    return [View("Source", row["source"], name, (row["provider"],)) for name in names]


KINDS = (
    Kind(providers, _provider_views, _provider_columns),
    Kind(
        masters,
        lambda chain, row: [
            chain.core("Terminal", name, row["address"]) for name in ("providerOf", "defaultAgentDisabled")
        ],
        lambda values: {"provider": present(values[0]), "default_agent_disabled": values[1]},
    ),
    Kind(
        agents,
        lambda chain, row: [chain.core("Terminal", "isAgentOf", row["account"], row["agent"])],
        lambda values: {"active": values[0]},
    ),
    Kind(accounts, _account_views, lambda values: dict(zip(FIGURES, values, strict=True))),
    Kind(
        registrations,
        _registration_views,
        lambda values: dict(zip(("registrant_id", "environment"), values, strict=True)),
    ),
)


async def check_people(connection: Connection, chain: Chain) -> AsyncIterator[Finding]:
    """Every row of these tables."""
    for kind in KINDS:
        for page in pages(connection, kind.table):
            found = await chain.read_each([kind.views(chain, row) for row in page])
            for row, values in zip(page, found, strict=True):
                told = kind.columns([None if value is NOTHING else value for value in values])
                for finding in _compared(connection, kind.table, row, told):
                    yield finding


def _sanctioned(connection: Connection, account: str) -> int:
    """What events say that was taken from an account and not given back."""
    kinds = vault_movements.c.kind.in_(("Sanctioned", "Waived"))
    moved = select(vault_movements.c.kind, vault_movements.c.amount).where(kinds)
    found = connection.execute(moved.where(vault_movements.c.account == account))
    return sum(amount if kind == "Sanctioned" else -amount for kind, amount in found)


def _compared(connection: Connection, table: Table, row: Row, told: dict[str, Any]) -> Iterator[Finding]:
    """The differences, and what no event could have told."""
    if table is registrations and told["registrant_id"] == 0:
        yield Note(table.name, (row["source"], row["provider"]), "has ended, which no event tells")
        return
    for difference in compared(table, row, told):
        told_of = _sanctioned(connection, row["address"]) if difference.column == "sanctioned" else None
        if difference.column == "sanctioned" and difference.chain == 0 and told_of == row["sanctioned"]:
            yield Note(table.name, difference.key, "had its sanction paid out, which no event tells")
        else:
            yield difference
