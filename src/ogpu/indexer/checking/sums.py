"""What the index adds up, and when and where things happened, beside its own rows and events."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, exists, func, literal, select, union

from ogpu.indexer.checking.findings import Difference, compared, extra, missing
from ogpu.indexer.checking.views import pages
from ogpu.indexer.tables import (
    LATENCY_BINS,
    WIDTHS,
    accounts,
    agents,
    attempts,
    bucket_providers,
    buckets,
    events,
    masters,
    payments,
    providers,
    registrations,
    responses,
    sources,
    tasks,
    totals,
)
from ogpu.types import DeliveryMethod, SourceStatus, TaskStatus

LARGE_PAGE = 5000  # rows that are only added up
Sums = defaultdict[Any, Counter[str]]

_SETTLED: dict[int, str] = {
    TaskStatus.FINALIZED: "finalized",
    TaskStatus.CANCELED: "canceled",
    TaskStatus.EXPIRED: "expired",
}
_NAMES = {int(status): status.name.lower() for status in TaskStatus}
_STATES = {TaskStatus.FINALIZED: "paid", TaskStatus.CANCELED: "returned", TaskStatus.EXPIRED: "returned"}
# Of each item: what happened to it, which event says so, and by which of its columns.
_HAPPENED: tuple[tuple[Table, str, str | None, dict[str, Column[Any]]], ...] = (
    (sources, "published", "SourcePublished", {"address": events.c.source}),
    (registrations, "registered", "Registered", {"source": events.c.source, "provider": events.c.account}),
    (tasks, "published", "TaskPublished", {"address": events.c.task}),
    (tasks, "attempted", "Attempted", {"address": events.c.task}),
    (tasks, "responded", "ResponseSubmitted", {"address": events.c.task}),
    (tasks, "settled", "TaskStatusChanged", {"address": events.c.task}),
    (attempts, "attempted", "Attempted", {"task": events.c.task, "provider": events.c.account}),
    (responses, "submitted", "ResponseSubmitted", {"address": events.c.response}),
    (responses, "confirmed", "ResponseStatusChanged", {"address": events.c.response}),
    (payments, "held", "TaskPublished", {"task": events.c.task}),
    (payments, "settled", "TaskStatusChanged", {"task": events.c.task}),
    (agents, "set", "AgentSet", {"account": events.c.account, "agent": events.c.other}),
    (providers, "seen", None, {"address": events.c.account}),
    (masters, "seen", None, {"address": events.c.account}),
    (accounts, "seen", None, {}),
)


def check_happened(connection: Connection) -> Iterator[Difference]:
    """That an event says of each item what the item says of itself."""
    for table, what, kind, columns in _HAPPENED:
        place = (("block", "block_number"), ("index", "log_index"), ("at", "at"), ("tx", "transaction_hash"))
        same = [table.c[f"{what}_{ours}"] == events.c[theirs] for ours, theirs in place]
        same += [table.c[ours] == theirs for ours, theirs in columns.items()]
        same += [events.c.kind == kind] if kind is not None else []
        said = table.c[f"{what}_block"].is_not(None) & ~exists().where(*same)
        keys = list(table.primary_key)
        for row in connection.execute(
            select(*keys, table.c[f"{what}_block"], table.c[f"{what}_index"]).where(said)
        ):
            ours = f"block {row[-2]}, log {row[-1]}"
            yield Difference(table.name, tuple(row[:-2]), f"{what}_…", ours, "no such event")


class Adding:
    """The sums that the rows of items give."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.of: dict[str, Sums] = {
            name: defaultdict(Counter) for name in ("sources", "accounts", "providers", "buckets")
        }
        self.bins: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * (len(LATENCY_BINS) + 1))

    def at(self, at: int, name: str, amount: int = 1) -> None:
        """Add to the intervals that a time is in."""
        for width in WIDTHS:
            self.of["buckets"][width, at - at % width][name] += amount

    def task(self, row: Mapping[str, Any]) -> None:
        """One task."""
        self.total["tasks"] += 1
        self.total[_NAMES.get(row["status"], "")] += 1
        self.at(row["published_at"], "published")
        self.of["accounts"][row["client"]]["task_count"] += 1
        if row["status"] in _SETTLED and row["settled_at"] is not None:
            self.at(row["settled_at"], _SETTLED[row["status"]])
        if row["status"] == TaskStatus.FINALIZED:
            self.of["sources"][row["source"]].update(finalized_count=1, paid=row["paid"] or 0)
            self.of["accounts"][row["client"]]["spent"] += row["paid"] or 0
        if row["responded_at"] is not None:
            waited = row["responded_at"] - row["published_at"]
            for width in WIDTHS:
                bins = self.bins[width, row["responded_at"] - row["responded_at"] % width]
                bins[bisect_left(LATENCY_BINS, waited)] += 1

    def payment(self, row: Mapping[str, Any]) -> None:
        """One payment."""
        if row["state"] == "held" or row["settled_at"] is None:
            self.total["held"] += row["amount"]
            return
        for name in ("paid", "returned"):
            self.total[name] += row[name]
            self.at(row["settled_at"], name, row[name])

    def attempt(self, row: Mapping[str, Any]) -> None:
        """One attempt."""
        self.at(row["attempted_at"], "attempted")
        self.of["providers"][row["provider"]]["attempt_count"] += 1

    def response(self, row: Mapping[str, Any]) -> None:
        """One response."""
        self.total["responses"] += 1
        self.at(row["submitted_at"], "responded")
        self.of["providers"][row["provider"]].update(response_count=1, confirmed_count=row["status"])

    def source(self, row: Mapping[str, Any]) -> None:
        """One source."""
        self.total["sources"] += 1
        self.total["active_sources"] += row["status"] == SourceStatus.ACTIVE
        self.of["accounts"][row["client"]]["source_count"] += 1


def check_sums(connection: Connection) -> Iterator[Difference]:
    """All counts and sums, and the tables over time."""
    adding = Adding()
    take: dict[Table, Callable[[Mapping[str, Any]], None]] = {
        sources: adding.source,
        tasks: adding.task,
        attempts: adding.attempt,
        responses: adding.response,
        payments: adding.payment,
    }
    for table, add in take.items():
        for page in pages(connection, table, LARGE_PAGE):
            for row in page:
                add(row)
    _add_counted(connection, adding)
    yield from _compared_sums(connection, adding)
    yield from _compared_buckets(connection, adding)
    yield from _compared_actives(connection)
    yield from _compared_ends(connection)


def _add_counted(connection: Connection, adding: Adding) -> None:
    """What the database counts."""
    adding.total["events"] = connection.execute(select(func.count()).select_from(events)).scalar_one()
    adding.total["providers"] = connection.execute(select(func.count()).select_from(providers)).scalar_one()
    registered = select(events.c.account, func.count()).where(events.c.kind == "Registered")
    for provider, count in connection.execute(registered.group_by(events.c.account)):
        adding.of["providers"][provider]["registration_count"] = count
    seconds = func.sum(responses.c.submitted_at - attempts.c.attempted_at)
    same = (responses.c.task == attempts.c.task) & (responses.c.provider == attempts.c.provider)
    answered = select(responses.c.provider, seconds).select_from(responses.join(attempts, same))
    for provider, total in connection.execute(answered.group_by(responses.c.provider)):
        adding.of["providers"][provider]["answer_seconds"] = int(total)


_SUMMED = {
    sources: ("finalized_count", "paid"),
    accounts: ("source_count", "task_count", "spent"),
    providers: ("registration_count", "attempt_count", "response_count", "confirmed_count", "answer_seconds"),
}


def _compared_sums(connection: Connection, adding: Adding) -> Iterator[Difference]:
    for table, names in _SUMMED.items():
        for page in pages(connection, table, LARGE_PAGE):
            for row in page:
                found = adding.of[table.name][row["address"]]
                yield from compared(table, row, {name: found[name] for name in names})
    whole = connection.execute(select(totals)).mappings().first()
    names = tuple(column.name for column in totals.columns if column.name != "id")
    if whole is not None:
        yield from compared(totals, dict(whole), {name: adding.total[name] for name in names})
    elif any(adding.total.values()):
        yield missing(totals, 1)


_BUCKETED = ("published", "attempted", "responded", "finalized", "canceled", "expired", "paid", "returned")


def _compared_buckets(connection: Connection, adding: Adding) -> Iterator[Difference]:
    expected = adding.of["buckets"]
    for page in pages(connection, buckets, LARGE_PAGE):
        for row in page:
            key = (row["width"], row["start"])
            found = expected.pop(key, Counter())
            bins = json.dumps(adding.bins[key], separators=(",", ":"))
            told = {name: found[name] for name in _BUCKETED} | {"first_response_bins": bins}
            yield from compared(buckets, row, told)
    yield from (missing(buckets, *key) for key, found in expected.items() if any(found.values()))


def _compared_actives(connection: Connection) -> Iterator[Difference]:
    ours = select(bucket_providers.c.width, bucket_providers.c.start, bucket_providers.c.provider)
    for width in WIDTHS:
        acted = [
            select(literal(width), at - at % width, provider)
            for at, provider in (
                (attempts.c.attempted_at, attempts.c.provider),
                (responses.c.submitted_at, responses.c.provider),
            )
        ]
        theirs, here = union(*acted), ours.where(bucket_providers.c.width == width)
        there = select(*theirs.subquery().columns)
        yield from (missing(bucket_providers, *key) for key in connection.execute(there.except_(here)))
        yield from (extra(bucket_providers, *key) for key in connection.execute(here.except_(there)))
    same = (bucket_providers.c.width == buckets.c.width) & (bucket_providers.c.start == buckets.c.start)
    counted = select(func.count()).select_from(bucket_providers).where(same).scalar_subquery()
    wrong = select(buckets.c.width, buckets.c.start, buckets.c.active_providers, counted)
    for width, start, index, count in connection.execute(wrong.where(buckets.c.active_providers != counted)):
        yield Difference("buckets", (width, start), "active_providers", index, count)


def _compared_ends(connection: Connection) -> Iterator[Difference]:
    """What became of tasks, their payments and the responses that were paid for."""
    joined = tasks.join(payments, payments.c.task == tasks.c.address).outerjoin(
        responses, responses.c.address == tasks.c.confirmed_response
    )
    ended = select(
        *(column.label(f"task_{column.name}") for column in tasks.columns),
        *(column.label(f"payment_{column.name}") for column in payments.columns),
        *(column.label(f"response_{column.name}") for column in responses.columns),
    ).select_from(joined)
    for row in connection.execute(ended.execution_options(yield_per=LARGE_PAGE)).mappings():
        yield from _compared_end(*(_part(row, name) for name in ("task", "payment", "response")))


def _part(row: Mapping[Any, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{name}_"): value for key, value in row.items() if key.startswith(f"{name}_")}


def _compared_end(
    task: Mapping[str, Any], payment: Mapping[str, Any], response: Mapping[str, Any]
) -> Iterator[Difference]:
    state = _STATES.get(task["status"], "held")
    finalized = state == "paid"
    first = task["delivery_method"] == DeliveryMethod.FIRST_RESPONSE
    paid = (task if first else response)["payment"] if finalized else None
    yield from compared(tasks, task, {"paid": paid})
    told = {
        "state": state,
        "provider": task["winning_provider"] if finalized else None,
        "paid": paid or 0,
        "returned": 0 if state == "held" else payment["amount"] - (paid or 0),
        **{name: task[name] for name in ("settled_block", "settled_index", "settled_at", "settled_tx")},
    }
    yield from compared(payments, payment, told)
    if not finalized:
        return
    if (response["provider"], response["status"]) != (task["winning_provider"], 1):
        ours = task["confirmed_response"]
        yield Difference("tasks", (task["address"],), "confirmed_response", ours, "the winner's")
    if response["address"] is not None:
        yield from compared(responses, response, {"paid": paid})
