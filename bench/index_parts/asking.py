"""How quickly the page and the API answer from a large index: by requests to the application itself."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, event, func, select
from sqlalchemy.engine import Engine

from ogpu.indexer import tables
from ogpu.indexer.database import engine
from ogpu.indexer.place import Place, place_of
from ogpu.web.app import create_app
from ogpu.web.limits import Limits
from ogpu.web.reading import Index
from ogpu.web.warming import get

ROUNDS = 20  # requests of a kind, each of another item
FREE = Limits(rate=0, query_seconds=60, kept=0)  # each answer is made

KINDS = {
    "page: overview": "/",
    "page: sources": "/sources",
    "page: a source": "/sources/{sources}",
    "page: tasks": "/tasks",
    "page: tasks of a status": "/tasks?status=finalized",
    "page: tasks of a source": "/tasks?source={sources}",
    "page: a task": "/tasks/{tasks}",
    "page: responses": "/responses",
    "page: a response": "/responses/{responses}",
    "page: providers": "/providers",
    "page: a provider": "/providers/{providers}",
    "page: an account": "/accounts/{accounts}",
    "page: blocks": "/blocks",
    "page: a block": "/blocks/{blocks}",
    "page: a search": "/search?q={tasks}",
    "page: a search by a beginning": "/search?q=0xa",
    "API: a task": "/api/tasks/{tasks}",
    "API: tasks": "/api/tasks",
    "API: tasks by payment": "/api/tasks?sort=-payment",
    "API: tasks of a client": "/api/tasks?client={accounts}",
    "API: tasks of a provider": "/api/tasks?provider={providers}",
    "API: tasks of a status": "/api/tasks?status=EXPIRED",
    "API: tasks of a source and a status": "/api/tasks?source={sources}&status=EXPIRED",
    "API: tasks of a source": "/api/tasks?source={sources}",
    "API: tasks of a time": "/api/tasks?since=1&before=2",
    "API: sources by tasks": "/api/sources?sort=-tasks",
    "API: registrations of a provider": "/api/registrations?provider={providers}",
    "API: attempts of a provider": "/api/attempts?provider={providers}",
    "API: payments of a client": "/api/payments?client={accounts}",
    "API: payments held": "/api/payments?state=held",
    "API: agents of an account": "/api/agents?account={accounts}",
    "API: movements of an account": "/api/movements?account={accounts}",
    "API: movements of a kind": "/api/movements?kind=Claimed",
    "API: responses": "/api/responses",
    "API: a task's responses": "/api/responses?task={tasks}",
    "API: responses of a provider": "/api/responses?provider={providers}",
    "API: responses of a status": "/api/responses?status=SUBMITTED",
    "API: providers by earnings": "/api/providers?sort=-earned",
    "API: providers by activity": "/api/providers?sort=-active",
    "API: accounts": "/api/accounts",
    "API: an account": "/api/accounts/{accounts}",
    "API: events": "/api/events",
    "API: events of a kind": "/api/events?kind=TaskPublished",
    "API: events of a task": "/api/events?task={tasks}",
    "API: events of an account": "/api/events?account={accounts}",
    "API: events of a kind that is rare": "/api/events?kind=Sanctioned",
    "API: events of a source": "/api/events?source={sources}",
    "API: events of a block": "/api/events?block={blocks}",
    "API: statistics": "/api/statistics",
}


@dataclass(frozen=True)
class Asked:
    """How long requests of one kind took, in seconds: all of it, and in the database."""

    kind: str
    path: str
    first: float
    times: tuple[float, ...]
    in_database: float  # the slowest
    status: int

    @property
    def p95(self) -> float:
        """What 95 of 100 take at most."""
        return statistics.quantiles(self.times, n=20, method="inclusive")[-1]


def ask(database: str, rounds: int = ROUNDS) -> list[Asked]:
    """Ask for each kind of page and list."""
    place = place_of(database)
    items = _items(place, rounds)
    return asyncio.run(_asked(place, items, rounds))


def _items(place: Place, count: int) -> dict[str, Sequence[Any]]:
    """Some items of each kind, from all over the index; the busiest account is among them."""
    chosen = random.Random(1)
    found: dict[str, Sequence[Any]] = {}
    with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
        for name in ("sources", "tasks", "responses", "providers", "accounts", "blocks"):
            table: Table = tables.metadata.tables[name]
            key = next(iter(table.primary_key))
            total = connection.execute(select(func.count()).select_from(table)).scalar_one()
            spots = sorted(chosen.sample(range(total), min(count, total, 12)))
            statement = select(key).order_by(key)
            found[name] = [connection.execute(statement.offset(spot).limit(1)).scalar() for spot in spots]
        client = connection.execute(select(tables.sources.c.client).limit(1)).scalar()
    return {**found, "accounts": [client, *found["accounts"]]}


async def _asked(place: Place, items: dict[str, Sequence[Any]], rounds: int) -> list[Asked]:
    gc.collect()
    gc.freeze()  # as the server does
    index = Index(place, FREE)
    clock = _Clock()
    found = []
    try:
        app = create_app(index, limits=FREE)
        async with app.app.router.lifespan_context(app.app):
            await app.app.state.warmed
            for kind, path in KINDS.items():
                paths = [
                    path.format(**{name: some[number % len(some)] for name, some in items.items()})
                    for number in range(rounds)
                ]
                found.append(await _timed(app, clock, kind, paths))
    finally:
        index.close()
        clock.stop()
    return found


async def _timed(app: Any, clock: _Clock, kind: str, paths: Sequence[str]) -> Asked:
    times, worst, status = [], 0.0, 0
    for path in paths:
        clock.spent = 0.0
        begin = time.perf_counter()
        status = max(status, await get(app, path))
        times.append(time.perf_counter() - begin)
        worst = max(worst, clock.spent)
    return Asked(kind, KINDS[kind], times[0], tuple(times), worst, status)


class _Clock:
    """The time that the database takes."""

    def __init__(self) -> None:
        self.spent = 0.0
        self._begun = 0.0
        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)

    def _before(self, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.spent += time.perf_counter() - self._begun

    def stop(self) -> None:
        """Listen no more."""
        event.remove(Engine, "before_cursor_execute", self._before)
        event.remove(Engine, "after_cursor_execute", self._after)
