"""What is asked of the index: pages miss and repeat nothing, and a cursor fits only its own list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from ogpu.errors import InvalidInput
from ogpu.indexer import tables
from ogpu.indexer.place import place_of
from ogpu.types import Environment, TaskStatus
from ogpu.web import queries
from ogpu.web.jsontext import plain
from ogpu.web.limits import Limits
from ogpu.web.paging import BadCursor, Paging
from ogpu.web.reading import Index
from ogpu.web.values import LARGEST_NUMBER, Task
from tests.support import postgres, rows

TASKS = 60
KEYS: dict[str, Callable[[Task], Any]] = {
    "published": lambda task: (task.published.block, task.published.index),
    "payment": lambda task: (task.payment, task.address),
}


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def new_place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    """Makes places for an index in one database or the other."""
    if request.param == "SQLite":
        yield lambda: str(tmp_path_factory.mktemp("index") / "index.sqlite3")
        return
    with postgres.running() as server:
        yield server.fresh_schema


@pytest.fixture(scope="module")
def filled(new_place: Callable[[], str]) -> str:
    place = new_place()
    rows.fill(place, TASKS)
    return place


@pytest.fixture
def connection(filled: str) -> Iterator[Connection]:
    index = Index(place_of(filled), Limits())
    with index.look() as found:
        yield found
    index.close()


def walked(ask: Callable[[Paging], Any], sort: str, limit: int) -> list[Any]:
    """All rows of a list, a page after the other."""
    found: list[Any] = []
    cursor = None
    while True:
        page = ask(Paging(cursor, limit, sort))
        assert 1 <= len(page.items) <= limit
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 60, 500])
@pytest.mark.parametrize("sort", ["published", "-published", "payment", "-payment"])
def test_pages_miss_and_repeat_nothing(connection: Connection, sort: str, limit: int) -> None:
    found = walked(lambda paging: queries.tasks(connection, paging=paging), sort, limit)
    key = KEYS[sort.removeprefix("-")]
    assert len({task.address for task in found}) == len(found) == TASKS
    assert [key(task) for task in found] == sorted(map(key, found), reverse=sort.startswith("-"))


def test_a_row_that_is_published_meanwhile_moves_no_page(new_place: Callable[[], str]) -> None:
    place = new_place()
    rows.fill(place, TASKS)
    index = Index(place_of(place), Limits())
    with index.look() as connection:
        first = queries.tasks(connection, paging=Paging(limit=10))
    late = {**dict.fromkeys(tables.tasks.c.keys()), **rows.task_row(999, **rows.moment("published", 900))}
    with rows.writing(place) as connection:
        connection.execute(insert(tables.tasks), late)
    with index.look() as connection:
        second = queries.tasks(connection, paging=Paging(first.next, limit=10))
    index.close()
    assert [task.address for task in (*first.items, *second.items)] == [
        rows.address("task", number) for number in range(TASKS - 1, TASKS - 21, -1)
    ]


def test_filters_are_heeded_together(connection: Connection) -> None:
    source, client = rows.address("source", 0), rows.address("client", 0)
    found = queries.tasks(
        connection, source=source, client=client, status=TaskStatus.FINALIZED, paging=Paging(limit=500)
    )
    expected = [n for n in range(TASKS) if n % 5 == 0 and n % 3 == 0 and n % 4 == 0]
    assert {task.address for task in found.items} == {rows.address("task", n) for n in expected}
    begin = rows.BEGIN + 10
    within = queries.tasks(connection, since=begin + 3, before=begin + 5)
    assert {task.published.at for task in within.items} == {begin + 3, begin + 4}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cursor: cursor[:-1],
        lambda cursor: cursor + "A",
        lambda cursor: cursor[:16] + ("A" if cursor[16] != "A" else "B") + cursor[17:],
        lambda cursor: "",
        lambda cursor: "é" * 8,
        lambda cursor: "A" * 5000,
        lambda cursor: "!!!!",
    ],
)
def test_an_altered_cursor_is_refused(connection: Connection, spoil: Callable[[str], str]) -> None:
    cursor = queries.tasks(connection, paging=Paging(limit=5)).next
    assert cursor is not None
    with pytest.raises(BadCursor):
        queries.tasks(connection, paging=Paging(spoil(cursor), limit=5))


def test_a_cursor_fits_only_its_own_list_filter_and_order(connection: Connection) -> None:
    cursor = queries.tasks(connection, paging=Paging(limit=5)).next
    assert queries.tasks(connection, paging=Paging(cursor, limit=9)).items  # another size is fine
    for elsewhere in (
        lambda: queries.tasks(connection, paging=Paging(cursor, sort="published")),
        lambda: queries.tasks(connection, paging=Paging(cursor, sort="-payment")),
        lambda: queries.tasks(connection, status=TaskStatus.NEW, paging=Paging(cursor)),
        lambda: queries.sources(connection, paging=Paging(cursor)),
        lambda: queries.events(connection, paging=Paging(cursor)),
    ):
        with pytest.raises(BadCursor):
            elsewhere()


@pytest.mark.parametrize(
    "paging", [Paging(limit=0), Paging(limit=501), Paging(sort="colour"), Paging(sort="")]
)
def test_a_list_that_cannot_be_meant_is_refused(connection: Connection, paging: Paging) -> None:
    with pytest.raises(InvalidInput):
        queries.tasks(connection, paging=paging)


def test_texts_of_any_length_do_not_make_a_page_of_any_length(new_place: Callable[[], str]) -> None:
    place = new_place()
    with rows.writing(place) as connection:
        connection.execute(
            insert(tables.tasks),
            [
                {**dict.fromkeys(tables.tasks.c.keys()), **rows.task_row(n, config_url="x" * 700_000)}
                for n in range(7)
            ],
        )
    index = Index(place_of(place), Limits())
    with index.look() as connection:
        first = queries.tasks(connection, paging=Paging(limit=500))
        all_of_them = walked(lambda paging: queries.tasks(connection, paging=paging), "-published", 500)
    index.close()
    assert len(first.items) == 2
    assert len(all_of_them) == 7


def test_json_has_amounts_as_decimal_strings_and_no_number_beyond_what_readers_take(
    connection: Connection,
) -> None:
    task = plain(queries.task(connection, rows.address("task", 4)))
    assert task["payment"] == str(rows.PAYMENT + 4)
    assert task["status"] == "FINALIZED"
    assert task["published"]["at"] == rows.BEGIN + 12
    source = queries.source(connection, rows.address("source", 1))
    assert source is not None
    assert source.max_expiry_duration == 2**200
    assert source.environments == Environment.CPU | Environment.NVIDIA
    assert plain(source)["max_expiry_duration"] == LARGEST_NUMBER
    assert plain(source)["environments"] == ["CPU", "NVIDIA"]


def test_search_finds_by_whole_and_by_beginning_in_any_spelling(connection: Connection) -> None:
    task = rows.address("task", 4)
    for words in (task, task.lower(), " " + task[:10].lower(), "0x" + task[2:12].upper()):
        assert [(hit.kind, hit.id) for hit in queries.search(connection, words)] == [("task", task)]
    transaction = rows.hashed("tx", 1000)
    for words in (transaction, transaction[:20], transaction[:50]):
        assert [(hit.kind, hit.id) for hit in queries.search(connection, words)] == [
            ("transaction", transaction)
        ]
    assert [hit.id for hit in queries.search(connection, rows.hashed("block", 20))] == ["20"]
    assert [hit.id for hit in queries.search(connection, "600")] == ["600"]
    for nothing in ("601", "", "0x12", "%", "0x%%%%%%", "' OR 1=1", "0x" + "f" * 40, "9" * 30, "٣"):
        assert queries.search(connection, nothing) == ()


def test_a_reader_cannot_write(connection: Connection) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        connection.execute(insert(tables.totals), {"id": 1})
