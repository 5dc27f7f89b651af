"""Sources, tasks, and what came of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, select

from ogpu.indexer import tables
from ogpu.types import ResponseStatus, SourceStatus, TaskStatus
from ogpu.web.paging import FIRST, Paging
from ogpu.web.queries.lists import Condition, Listing, equal, within
from ogpu.web.values import Attempt, Page, Payment, Registration, Response, Source, Task, TaskLife

SHOWN = 100  # attempts and responses of a task

_sources = Listing(
    Source,
    tables.sources,
    {"published": ("published_block", "published_index"), "tasks": ("task_count", "address")},
)
_registrations = Listing(
    Registration, tables.registrations, {"registered": ("registered_block", "registered_index")}
)
_tasks = Listing(
    Task,
    tables.tasks,
    {"published": ("published_block", "published_index"), "payment": ("payment", "address")},
)
_attempts = Listing(Attempt, tables.attempts, {"attempted": ("attempted_block", "attempted_index")})
_responses = Listing(Response, tables.responses, {"submitted": ("submitted_block", "submitted_index")})
_payments = Listing(Payment, tables.payments, {"held": ("held_block", "held_index")})


def sources(
    connection: Connection,
    *,
    client: str | None = None,
    status: SourceStatus | None = None,
    paging: Paging = FIRST,
) -> Page[Source]:
    """Sources; sorted by `published` or `tasks`."""
    columns = tables.sources.c
    return _sources.read(connection, equal((columns.client, client), (columns.status, status)), paging)


def source(connection: Connection, address: str) -> Source | None:
    """A source."""
    return _sources.one(connection, tables.sources.c.address == address)


def registrations(
    connection: Connection,
    *,
    source: str | None = None,
    provider: str | None = None,
    paging: Paging = FIRST,
) -> Page[Registration]:
    """Registrations of providers to sources; sorted by `registered`."""
    columns = tables.registrations.c
    where = equal((columns.source, source), (columns.provider, provider))
    return _registrations.read(connection, where, paging)


def tasks(
    connection: Connection,
    *,
    source: str | None = None,
    client: str | None = None,
    provider: str | None = None,
    status: TaskStatus | None = None,
    since: int | None = None,
    before: int | None = None,
    paging: Paging = FIRST,
) -> Page[Task]:
    """Tasks, `provider` being the one that was paid, published from `since` on and before `before` (Unix
    seconds); sorted by `published` or `payment`.
    """
    columns = tables.tasks.c
    where = equal(
        (columns.source, source),
        (columns.client, client),
        (columns.winning_provider, provider),
        (columns.status, status),
    )
    where += within(columns.published_at, since, before) + _in_blocks(columns.published_block, since, before)
    return _tasks.read(connection, where, paging)


def _in_blocks(column: Column[Any], since: int | None, before: int | None) -> list[Condition]:
    """The same times by the blocks' numbers, which lists are sorted by; blocks of items stay in the index."""
    number, at = tables.blocks.c.number, tables.blocks.c.timestamp
    found = []
    if since is not None:
        first = select(number).where(at >= since).order_by(at, number).limit(1)
        found.append(Condition(column >= first.scalar_subquery(), ""))
    if before is not None:
        last = select(number).where(at < before).order_by(at.desc(), number.desc()).limit(1)
        found.append(Condition(column <= last.scalar_subquery(), ""))
    return found


def task(connection: Connection, address: str) -> Task | None:
    """A task."""
    return _tasks.one(connection, tables.tasks.c.address == address)


def task_life(connection: Connection, address: str) -> TaskLife | None:
    """A task with its attempts, responses and payment, as a person follows them."""
    found = task(connection, address)
    if found is None:
        return None
    return TaskLife(
        found,
        attempts(connection, task=address, paging=Paging(sort="attempted", limit=SHOWN)).items,
        responses(connection, task=address, paging=Paging(sort="submitted", limit=SHOWN)).items,
        payment(connection, address),
    )


def attempts(
    connection: Connection,
    *,
    task: str | None = None,
    provider: str | None = None,
    paging: Paging = FIRST,
) -> Page[Attempt]:
    """Attempts; sorted by `attempted`."""
    columns = tables.attempts.c
    return _attempts.read(connection, equal((columns.task, task), (columns.provider, provider)), paging)


def responses(
    connection: Connection,
    *,
    task: str | None = None,
    source: str | None = None,
    provider: str | None = None,
    status: ResponseStatus | None = None,
    paging: Paging = FIRST,
) -> Page[Response]:
    """Responses; sorted by `submitted`."""
    columns = tables.responses.c
    where = equal(
        (columns.task, task),
        (columns.source, source),
        (columns.provider, provider),
        (columns.status, status),
    )
    return _responses.read(connection, where, paging)


def response(connection: Connection, address: str) -> Response | None:
    """A response."""
    return _responses.one(connection, tables.responses.c.address == address)


def payments(
    connection: Connection,
    *,
    client: str | None = None,
    provider: str | None = None,
    state: str | None = None,
    paging: Paging = FIRST,
) -> Page[Payment]:
    """Payments of tasks, `state` being "held", "paid" or "returned"; sorted by `held`."""
    columns = tables.payments.c
    where = equal((columns.client, client), (columns.provider, provider), (columns.state, state))
    return _payments.read(connection, where, paging)


def payment(connection: Connection, task: str) -> Payment | None:
    """The payment of a task."""
    return _payments.one(connection, tables.payments.c.task == task)
