"""Whom and what events are about, beside the items; and that whoever is named by events has a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table, exists, func, select, tuple_

from ogpu.indexer.checking.findings import Difference, missing
from ogpu.indexer.tables import (
    accounts,
    agents,
    events,
    masters,
    providers,
    registrations,
    responses,
    sources,
    tasks,
)

_ACCOUNT: dict[str, Column[Any]] = {"address": events.c.account}
_ACTING = ("Registered", "Attempted", "ResponseSubmitted")
_OF_PROVIDERS = (*_ACTING, "MasterAnnounced")
_OF_MASTERS = ("ProviderAnnounced", "DefaultAgentDisabled")
_OF_ACCOUNTS = ("Deposited", "Withdrawn", "Locked", "Unbonded", "TaskPublished")
_NAMED: tuple[tuple[Table, tuple[str, ...], dict[str, Column[Any]]], ...] = (
    (registrations, ("Registered",), {"source": events.c.source, "provider": events.c.account}),
    (agents, ("AgentSet",), {"account": events.c.account, "agent": events.c.other}),
    (providers, _OF_PROVIDERS, _ACCOUNT),
    (masters, _OF_MASTERS, _ACCOUNT),
    (accounts, _OF_ACCOUNTS, _ACCOUNT),
)
_OF_TASKS = ("TaskPublished", "TaskStatusChanged")
_OF_RESPONSES = ("ResponseSubmitted", "ResponseStatusChanged")
_OF_SOURCES = ("SourcePublished", "SourceUpdated", "SourceStatusChanged")
# Of events of these kinds: a column, and the column of the item that it must be.
_ABOUT: tuple[tuple[tuple[str, ...], str, Column[Any], Column[Any], Column[Any]], ...] = (
    (_OF_TASKS, "account", events.c.task, tasks.c.address, tasks.c.client),
    ((*_OF_TASKS, "Attempted"), "source", events.c.task, tasks.c.address, tasks.c.source),
    (("Attempted",), "other", events.c.task, tasks.c.address, tasks.c.client),
    (_OF_RESPONSES, "task", events.c.response, responses.c.address, responses.c.task),
    (_OF_RESPONSES, "source", events.c.response, responses.c.address, responses.c.source),
    (_OF_RESPONSES, "account", events.c.response, responses.c.address, responses.c.provider),
    (_OF_RESPONSES, "other", events.c.task, tasks.c.address, tasks.c.client),
    (_OF_SOURCES, "account", events.c.source, sources.c.address, sources.c.client),
    (("Registered",), "other", events.c.source, sources.c.address, sources.c.client),
)


def check_names(connection: Connection) -> Iterator[Difference]:
    """Both, and what the index knows of people by events alone."""
    for table, kinds, columns in _NAMED:
        same = [table.c[name] == column for name, column in columns.items()]
        named = select(*columns.values()).where(events.c.kind.in_(kinds), ~exists().where(*same)).distinct()
        for key in connection.execute(named):
            yield missing(table, *key)
    for about in _ABOUT:
        yield from _check_about(connection, *about)
    owned = select(responses.c.address, responses.c.source, tasks.c.source).where(
        responses.c.task == tasks.c.address, responses.c.source != tasks.c.source
    )
    for address, ours, theirs in connection.execute(owned):
        yield Difference("responses", (address,), "source", ours, theirs)
    yield from _check_seen(connection)
    yield from _check_active(connection)
    yield from _check_halves(connection)


def _check_about(
    connection: Connection,
    kinds: tuple[str, ...],
    name: str,
    linked: Column[Any],
    key: Column[Any],
    value: Column[Any],
) -> Iterator[Difference]:
    column = events.c[name]
    place = (events.c.block_number, events.c.log_index)
    joined = select(*place, column, value).join_from(events, key.table, linked == key)
    wrong = joined.where(events.c.kind.in_(kinds), column.is_distinct_from(value))
    for block, index, ours, theirs in connection.execute(wrong):
        yield Difference("events", (block, index), name, ours, theirs)


def _check_seen(connection: Connection) -> Iterator[Difference]:
    """That nobody was heard of before the event that the index says."""
    for table, kinds in ((providers, _OF_PROVIDERS), (masters, _OF_MASTERS), (accounts, _OF_ACCOUNTS)):
        place = tuple_(events.c.block_number, events.c.log_index)
        earlier = [events.c.kind.in_(kinds), events.c.account == table.c.address]
        earlier.append(place < tuple_(table.c.seen_block, table.c.seen_index))
        said = select(table.c.address, table.c.seen_block, table.c.seen_index)
        wrong = said.where(exists().where(*earlier))
        for address, block, index in connection.execute(wrong):
            ours = f"block {block}, log {index}"
            yield Difference(table.name, (address,), "seen_…", ours, "an earlier event")


def _check_active(connection: Connection) -> Iterator[Difference]:
    acted = select(events.c.account, func.max(events.c.at).label("at")).where(events.c.kind.in_(_ACTING))
    last = acted.group_by(events.c.account).subquery()
    at = func.coalesce(last.c.at, providers.c.seen_at)
    joined = providers.outerjoin(last, last.c.account == providers.c.address)
    wrong = select(providers.c.address, providers.c.active_at, at).select_from(joined)
    for address, ours, theirs in connection.execute(wrong.where(providers.c.active_at != at)):
        yield Difference("providers", (address,), "active_at", ours, theirs)


def _check_halves(connection: Connection) -> Iterator[Difference]:
    """The halves of pairings that wait for the other one, which the contract does not show."""
    by_master: dict[str, str | None] = {}
    by_provider: dict[str, str | None] = {}
    announced = select(events.c.kind, events.c.account, events.c.other)
    announced = announced.where(events.c.kind.in_(("ProviderAnnounced", "MasterAnnounced")))
    for kind, account, other in connection.execute(
        announced.order_by(events.c.block_number, events.c.log_index)
    ):
        ours, theirs = (by_master, by_provider) if kind == "ProviderAnnounced" else (by_provider, by_master)
        ours[account] = other
        if theirs.get(other) == account:
            ours[account] = theirs[other] = None
    for table, column, told in (
        (providers, providers.c.announced_master, by_provider),
        (masters, masters.c.announced_provider, by_master),
    ):
        for address, half in connection.execute(select(table.c.address, column)):
            if half != told.get(address):
                yield Difference(table.name, (address,), column.name, half, told.get(address))
