"""What each view of the page shows, as values for its template."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from ogpu.errors import OGPUError
from ogpu.rpc.codec import checksum
from ogpu.types import Environment, ResponseStatus, SourceStatus, TaskStatus
from ogpu.web import page_queries, queries, show
from ogpu.web.overview import overview_charts, provider_charts
from ogpu.web.paging import Paging
from ogpu.web.timeline import phases, steps
from ogpu.web.values import Event, Position

ROWS, FEW = 25, 8
STATUS = {
    TaskStatus.NEW: ("new", "s-new"),
    TaskStatus.ATTEMPTED: ("attempted", "s-attempted"),
    TaskStatus.RESPONDED: ("responded", "s-responded"),
    TaskStatus.FINALIZED: ("finalized", "s-finalized"),
    TaskStatus.CANCELED: ("canceled", "s-canceled"),
    TaskStatus.EXPIRED: ("expired", "s-expired"),
}
TASK_SORTS = {"newest": "-published", "oldest": "published", "payment": "-payment"}
SOURCE_SORTS = {"newest": "-published", "tasks": "-tasks"}
PROVIDER_SORTS = {"earned": "-earned", "active": "-active", "newest": "-seen"}
STATUSES: Mapping[str, type[IntEnum]] = {
    "TaskStatusChanged": TaskStatus,
    "SourceStatusChanged": SourceStatus,
    "ResponseStatusChanged": ResponseStatus,
}
PATHS = {
    "task": "tasks",
    "source": "sources",
    "response": "responses",
    "provider": "providers",
    "master": "accounts",
    "account": "accounts",
    "transaction": "transactions",
    "block": "blocks",
}


@dataclass(frozen=True)
class Look:
    """One look at the index: its connection, the address's parameters, the time, and how far the index is."""

    connection: Connection
    params: Mapping[str, str]
    now: int
    position: Position | None

    def paging(self, sorts: Mapping[str, str] | None = None, size: int = ROWS, name: str = "after") -> Paging:
        """The page of a list that is asked for."""
        sort = sorts.get(self.params.get("sort", ""), next(iter(sorts.values()))) if sorts else None
        return Paging(self.params.get(name) or None, size, sort)


@dataclass(frozen=True)
class Shown:
    """A template and its values; a redirect needs none."""

    template: str
    title: str
    section: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    redirect: str = ""


class Missing(Exception):
    """There is no such thing in the index."""

    def __init__(self, what: str, key: str) -> None:
        super().__init__(f"There is no {what} {key} in the index.")
        self.what, self.key = what, key


def overview(look: Look, _key: str) -> Shown:
    """The whole network at a glance."""
    connection = look.connection
    recent = queries.tasks(connection, paging=Paging(limit=FEW))
    happened = queries.events(connection, paging=Paging(limit=10))
    values = {
        **overview_charts(connection, look.params.get("range", ""), look.now),
        "tasks": recent.items,
        "functions": page_queries.functions(connection, recent.items),
        "names": page_queries.source_names(connection, [task.source for task in recent.items]),
        "events": happened.items,
        "statuses": STATUS,
    }
    return Shown("overview", "Overview", "overview", values)


def sources(look: Look, _key: str) -> Shown:
    """All services."""
    found = queries.sources(look.connection, paging=look.paging(SOURCE_SORTS))
    addresses = [each.address for each in found.items]
    values = {
        "page": found,
        "names": page_queries.source_names(look.connection, addresses),
        "trends": page_queries.source_trends(look.connection, addresses),
        "hardware": hardware,
    }
    return Shown("sources", "Sources", "sources", values)


def source(look: Look, key: str) -> Shown:
    """A service, who runs it, and its tasks."""
    connection, key = look.connection, _address(key, "source")
    found = queries.source(connection, key)
    if found is None:
        raise Missing("source", key)
    tasks = queries.tasks(connection, source=key, paging=look.paging())
    metadata = page_queries.content(connection, found.metadata_url)
    name = metadata.body.field("name") if metadata.body else ""
    logo = metadata.body.field("logoUrl") if metadata.body else ""
    values = {
        "source": found,
        "name": name,
        "metadata": metadata,
        "logo": page_queries.content(connection, logo) if logo else None,
        "hardware": hardware(found.environments),
        "registrations": queries.registrations(connection, source=key, paging=Paging(limit=100)).items,
        "environment": hardware,
        "tasks": tasks,
        "functions": page_queries.functions(connection, tasks.items),
        "statuses": STATUS,
    }
    return Shown("source", show.plain(name) or f"Source {show.short(key)}", "sources", values)


def tasks(look: Look, _key: str) -> Shown:
    """Tasks, filtered and sorted."""
    chosen = _chosen(look, "source", "client", "provider")
    status = next((each for each in STATUS if STATUS[each][0] == look.params.get("status")), None)
    found = queries.tasks(
        look.connection,
        source=chosen.get("source"),
        client=chosen.get("client"),
        provider=chosen.get("provider"),
        status=status,
        paging=look.paging(TASK_SORTS),
    )
    values = {
        "page": found,
        "functions": page_queries.functions(look.connection, found.items),
        "names": page_queries.source_names(look.connection, {task.source for task in found.items}),
        "statuses": STATUS,
        "status": status,
        "chosen": chosen,
        "counts": _counts(look.connection) if not chosen else None,
    }
    return Shown("tasks", "Tasks", "tasks", values)


def task(look: Look, key: str) -> Shown:
    """A task's life."""
    connection, key = look.connection, _address(key, "task")
    life = queries.task_life(connection, key)
    if life is None:
        raise Missing("task", key)
    config = page_queries.content(connection, life.task.config_url)
    function = config.body.field("function_name") if config.body else ""
    values = {
        "life": life,
        "task": life.task,
        "config": config,
        "function": function,
        "name": page_queries.source_names(connection, [life.task.source]).get(life.task.source, ""),
        "steps": steps(life),
        "phases": phases(life, look.now),
        "results": page_queries.contents(
            connection, [each.data for each in life.responses], page_queries.MOST_NAME_BYTES
        ),
        "statuses": STATUS,
    }
    return Shown("task", f"Task {show.short(key)}", "tasks", values)


def responses(look: Look, _key: str) -> Shown:
    """All answers."""
    chosen = _chosen(look, "source", "provider")
    found = queries.responses(
        look.connection, source=chosen.get("source"), provider=chosen.get("provider"), paging=look.paging()
    )
    names = page_queries.source_names(look.connection, {each.source for each in found.items})
    results = page_queries.contents(look.connection, [each.data for each in found.items])
    values = {"page": found, "names": names, "results": results, "chosen": chosen}
    return Shown("responses", "Responses", "responses", values)


def response(look: Look, key: str) -> Shown:
    """An answer with its result."""
    connection, key = look.connection, _address(key, "response")
    found = queries.response(connection, key)
    if found is None:
        raise Missing("response", key)
    names = page_queries.source_names(connection, [found.source])
    values = {
        "response": found,
        "name": names.get(found.source, ""),
        "task": queries.task(connection, found.task),
        "result": page_queries.content(connection, found.data),
    }
    return Shown("response", f"Response {show.short(key)}", "responses", values)


def providers(look: Look, _key: str) -> Shown:
    """Who answers tasks, and how well."""
    found = queries.providers(look.connection, paging=look.paging(PROVIDER_SORTS))
    most = max((each.earned for each in found.items), default=0)
    trends = page_queries.provider_trends(look.connection, [each.address for each in found.items])
    return Shown("providers", "Providers", "providers", {"page": found, "most": most, "trends": trends})


def provider(look: Look, key: str) -> Shown:
    """A provider: earnings, success, speed, where it is registered and what it answered."""
    connection, key = look.connection, _address(key, "provider")
    found = queries.provider(connection, key)
    if found is None:
        raise Missing("provider", key)
    answers = queries.responses(connection, provider=key, paging=look.paging())
    registered = queries.registrations(connection, provider=key, paging=Paging(limit=50)).items
    sources = {each.source for each in answers.items} | {each.source for each in registered}
    values = {
        "provider": found,
        "account": queries.account(connection, key),
        **provider_charts(page_queries.answers_of(connection, key)),
        "responses": answers,
        "registrations": registered,
        "environment": hardware,
        "names": page_queries.source_names(connection, sources),
        "results": page_queries.contents(connection, [each.data for each in answers.items]),
    }
    return Shown("provider", f"Provider {show.short(key)}", "providers", values)


def account(look: Look, key: str) -> Shown:
    """All that an address is: its Vault, what moved there, what it pays, its agents."""
    connection, key = look.connection, _address(key, "account")
    life = queries.account_life(connection, key)
    events = queries.events(connection, account=key, paging=Paging(limit=FEW)).items
    if life is None and not events:
        raise Missing("account", key)
    tasks = queries.tasks(connection, client=key, paging=Paging(limit=FEW)).items
    sources = queries.sources(connection, client=key, paging=Paging(limit=FEW)).items
    named = {task.source for task in tasks} | {source.address for source in sources}
    values = {
        "key": key,
        "life": life,
        "events": events,
        "movements": queries.movements(connection, account=key, paging=look.paging(name="moved")),
        "payments": queries.payments(connection, client=key, paging=look.paging(name="paid", size=10)),
        "sources": sources,
        "tasks": tasks,
        "functions": page_queries.functions(connection, tasks),
        "names": page_queries.source_names(connection, named),
        "statuses": STATUS,
    }
    return Shown("account", f"Account {show.short(key)}", "", values)


def blocks(look: Look, _key: str) -> Shown:
    """Blocks with what happened, and those that the chain dropped."""
    found = queries.blocks(look.connection, paging=look.paging())
    dropped = queries.reorganisations(look.connection, paging=Paging(limit=ROWS))
    return Shown("blocks", "Blocks", "blocks", {"page": found, "reorganisations": dropped.items})


def block(look: Look, key: str) -> Shown:
    """A block and its events."""
    connection = look.connection
    if not re.fullmatch("[0-9]{1,18}", key):
        raise Missing("block", show.plain(key))
    number = int(key)
    found = queries.block(connection, number)
    if found is None and (look.position is None or number > look.position.number):
        raise Missing("block", f"{number:,}")
    before, after = page_queries.neighbours(connection, number)
    happened = queries.events(connection, block=number, paging=look.paging(size=100))
    values = {"number": number, "block": found, "before": before, "after": after, "page": happened}
    return Shown("block", f"Block {number:,}", "blocks", values)


def transaction(look: Look, key: str) -> Shown:
    """What a transaction did."""
    if not re.fullmatch("0[xX][0-9a-fA-F]{64}", key):
        raise Missing("transaction", show.plain(key))
    key = key.lower()
    happened = queries.events(look.connection, transaction=key, paging=look.paging(size=100))
    if not happened.items:
        raise Missing("transaction", key)
    return Shown("transaction", f"Transaction {show.short(key)}", "blocks", {"key": key, "page": happened})


def search(look: Look, _key: str) -> Shown:
    """What an address, a hash, a number or a beginning stands for; one thing is shown at once."""
    words = look.params.get("q", "").strip()[:200]
    hits = queries.search(look.connection, words) if words else ()
    places = {f"/{PATHS[hit.kind]}/{quote(hit.id)}": hit for hit in reversed(hits)}
    whole = hits and len({hit.id for hit in hits}) == 1
    if whole:
        return Shown("", "", redirect=f"/{PATHS[hits[0].kind]}/{quote(hits[0].id)}")
    return Shown("search", "Search", "", {"words": words, "hits": list(reversed(places.items()))})


def nowhere(_look: Look, key: str) -> Shown:
    """A path that is none of ours."""
    return _trouble(404, "There is no such page", f"Nothing is at /{show.plain(key, 80)}.", "")


def missing(error: Missing) -> Shown:
    """What is not in the index."""
    return _trouble(
        404, f"There is no such {error.what}", str(error), "It may be of another network, or too new."
    )


def refused(error: OGPUError) -> Shown:
    """An address with parameters that cannot be meant."""
    return _trouble(400, "This cannot be shown", str(error), error.hint or "")


def no_index(error: OGPUError) -> Shown:
    """The database does not answer."""
    return _trouble(503, "The index does not answer", error.message, "It may be there in a moment.")


def _trouble(status: int, title: str, says: str, hint: str) -> Shown:
    return Shown("error", title, "", {"status": status, "says": says, "hint": hint}, status)


def _counts(connection: Connection) -> Mapping[TaskStatus, int]:
    sums = queries.totals(connection)
    return {status: getattr(sums, name) for status, (name, _) in STATUS.items()}


def _chosen(look: Look, *names: str) -> dict[str, str]:
    """The addresses that a list is narrowed to."""
    return {name: _address(value, name) for name in names if (value := look.params.get(name))}


def _address(value: str, what: str) -> str:
    if not re.fullmatch("0[xX][0-9a-fA-F]{40}", value):
        raise Missing(what, show.plain(value) or "of that kind")
    return checksum("0x" + value[2:].lower())


def hardware(bits: Environment) -> list[str]:
    """The names of kinds of hardware."""
    names = {Environment.CPU: "CPU", Environment.NVIDIA: "NVIDIA", Environment.AMD: "AMD"}
    return [name for bit, name in names.items() if bit & bits]


def happening(event: Event) -> str:
    """What an event says, in words: "Task finalized", "Response submitted"."""
    words = re.findall("[A-Z][a-z]*", event.kind) or [event.kind]
    names = {each.value: each.name for each in STATUSES.get(event.kind, ())}
    if (status := event.arguments.get("status")) in names:
        words = [words[0], names[status]]
    return " ".join([words[0], *(word.lower() for word in words[1:])])


VIEWS: Mapping[str, Callable[[Look, str], Shown]] = {
    "/": overview,
    "/sources": sources,
    "/sources/{key}": source,
    "/tasks": tasks,
    "/tasks/{key}": task,
    "/responses": responses,
    "/responses/{key}": response,
    "/providers": providers,
    "/providers/{key}": provider,
    "/accounts/{key}": account,
    "/blocks": blocks,
    "/blocks/{key}": block,
    "/transactions/{key}": transaction,
    "/search": search,
}
