"""What only the page asks the index: names and contents for what it lists, and the blocks beside one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, func, select

from ogpu.indexer import tables
from ogpu.web import queries
from ogpu.web.bodies import Body, body_of
from ogpu.web.values import Document, Task

MOST_NAME_BYTES = 256 * 1024  # of a document that is only read for a name
MOST_BODY_BYTES = 8 * 1024 * 1024
TREND, NEWEST = 24, 200  # columns of a spark line, and how many of an item's newest happenings it counts
ANSWERS = 500  # of a provider, the newest


@dataclass(frozen=True, slots=True)
class Content:
    """A link and what the index has of it: no document where it never looks, no body where none is kept."""

    url: str
    document: Document | None = None
    body: Body | None = None


def contents(connection: Connection, urls: Iterable[str], most: int = MOST_NAME_BYTES) -> dict[str, Content]:
    """Links with their documents, and with their bodies of at most `most` bytes."""
    wanted = {url for url in urls if url}
    known = queries.documents(connection, wanted)
    small = {each.cid for each in known.values() if each.state == "kept" and (each.size or 0) <= most}
    columns = tables.documents.c
    statement = select(columns.cid, columns.body).where(columns.cid.in_(small), columns.body.is_not(None))
    bodies = {cid: body_of(data) for cid, data in connection.execute(statement)} if small else {}
    return {
        url: Content(url, document, bodies.get(document.cid) if document else None)
        for url in wanted
        for document in [known.get(url)]
    }


def content(connection: Connection, url: str) -> Content:
    """One link, with its body unless it is too large to be shown."""
    return contents(connection, [url], MOST_BODY_BYTES).get(url, Content(url))


def shown_body(connection: Connection, cid: str) -> bytes | None:
    """The bytes that are kept under a CID, unless they are too many to be shown."""
    columns = tables.documents.c
    statement = select(columns.body).where(
        columns.cid == cid, columns.state == "kept", columns.size <= MOST_BODY_BYTES
    )
    found: bytes | None = connection.execute(statement).scalar()
    return found


def source_names(connection: Connection, addresses: Iterable[str]) -> dict[str, str]:
    """The names that sources give themselves in their metadata, by address."""
    columns = tables.sources.c
    statement = select(columns.address, columns.metadata_url).where(columns.address.in_(set(addresses)))
    links = {row.address: row.metadata_url for row in connection.execute(statement)}
    return _fields(contents(connection, links.values()), links, "name")


def functions(connection: Connection, tasks: Sequence[Task]) -> dict[str, str]:
    """The functions that tasks ask for in their configs, by the task's address."""
    links = {task.address: task.config_url for task in tasks}
    return _fields(contents(connection, links.values()), links, "function_name")


def _fields(found: Mapping[str, Content], links: Mapping[str, str], field: str) -> dict[str, str]:
    bodies = {key: found[url].body for key, url in links.items() if url in found}
    return {key: name for key, body in bodies.items() if body and (name := body.field(field).strip())}


def source_trends(connection: Connection, sources: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """How often each source was called over time, lately."""
    columns = tables.tasks.c
    return _trends(connection, columns.source, columns.published_block, columns.published_at, sources)


def provider_trends(connection: Connection, providers: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """How often each provider answered over time, lately."""
    columns = tables.responses.c
    return _trends(connection, columns.provider, columns.submitted_block, columns.submitted_at, providers)


def _trends(
    connection: Connection, key: Column[str], block: Column[int], at: Column[int], keys: Iterable[str]
) -> dict[str, tuple[int, ...]]:
    """Counts in intervals of equal length, the same ones for all keys, up to the last happening."""
    times = {
        each: connection.execute(
            select(at).where(key == each).order_by(block.desc()).limit(NEWEST)
        ).scalars().all()
        for each in keys
    }  # fmt: skip
    every = [time for found in times.values() for time in found]
    if not every:
        return {}
    first, last = min(every), max(every)
    width = max((last - first) / TREND, 1)
    counted = {each: [0] * TREND for each in times}
    for each, found in times.items():
        for time in found:
            counted[each][min(int((time - first) / width), TREND - 1)] += 1
    return {each: tuple(counts) for each, counts in counted.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's response: when, how many seconds after its attempt, and the wei that it was paid."""

    at: int
    seconds: int
    paid: int


def answers_of(connection: Connection, provider: str) -> list[Answer]:
    """A provider's newest answers, oldest first."""
    responses, attempts = tables.responses.c, tables.attempts.c
    statement = (
        select(responses.submitted_at, attempts.attempted_at, responses.paid)
        .join(tables.attempts, (attempts.task == responses.task) & (attempts.provider == responses.provider))
        .where(responses.provider == provider)
        .order_by(responses.submitted_block.desc(), responses.submitted_index.desc())
        .limit(ANSWERS)
    )
    rows = connection.execute(statement).all()
    return [Answer(at, max(at - begun, 0), paid or 0) for at, begun, paid in reversed(rows)]


def neighbours(connection: Connection, number: int) -> tuple[int | None, int | None]:
    """The blocks before and after one that the index has."""
    column = tables.blocks.c.number
    before = connection.execute(select(func.max(column)).where(column < number)).scalar()
    after = connection.execute(select(func.min(column)).where(column > number)).scalar()
    return before, after
