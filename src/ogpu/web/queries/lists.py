"""What the lists of the index share: filters, order, and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, select

from ogpu.web.paging import Paging, order_of, page
from ogpu.web.queries.shapes import Shape
from ogpu.web.values import Page

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: what it asks of a row, and its words, by which a cursor knows its list."""

    clause: ColumnElement[bool]
    words: str


def equal(*wanted: tuple[Column[Any], object]) -> list[Condition]:
    """A filter for each column that a value was given for."""
    return [
        Condition(column == value, f"{column.name}={value!r}")
        for column, value in wanted
        if value is not None
    ]


def within(column: Column[Any], since: int | None, before: int | None) -> list[Condition]:
    """From `since` on, and before `before`."""
    found = [] if since is None else [Condition(column >= since, f"{column.name}>={since}")]
    return found if before is None else [*found, Condition(column < before, f"{column.name}<{before}")]


class Listing(Generic[T]):
    """A table's rows as a list; `orders` says by what it can be sorted, the first being its own order."""

    def __init__(
        self, kind: type[T], table: Table, orders: Mapping[str, tuple[str, ...]], *, rising: bool = False
    ) -> None:
        self.table = table
        self._shape = Shape(kind, table)
        self._orders = {
            name: tuple(table.c[column] for column in columns) for name, columns in orders.items()
        }
        self._select = select(*self._shape.columns)  # once, as making one takes longer than most answers
        self._selects = {
            columns: self._select.add_columns(*(column.label(None) for column in columns))
            for columns in self._orders.values()
        }
        first = next(iter(orders))
        self.sort = first if rising else f"-{first}"

    def read(
        self,
        connection: Connection,
        where: list[Condition],
        paging: Paging,
        either: Sequence[Condition] = (),
    ) -> Page[T]:
        """A page of the rows that meet all conditions, and one of `either` when there are some."""
        order = order_of(self.sort if paging.sort is None else paging.sort, self._orders)
        statement = self._selects[order.columns]
        for condition in where:
            statement = statement.where(condition.clause)
        scope = " ".join([self.table.name, *(condition.words for condition in (*where, *either))])
        clauses = [condition.clause for condition in either]
        return page(
            connection, statement, self._shape.make, order, scope=scope, paging=paging, either=clauses
        )

    def one(self, connection: Connection, where: ColumnElement[bool]) -> T | None:
        """The row that meets a condition, if there is one."""
        row = connection.execute(self._select.where(where).limit(1)).first()
        return None if row is None else self._shape.make(row)
