"""Answers from the index: each with an ETag, kept while the index stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Request
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from ogpu.errors import NotFound
from ogpu.web import queries
from ogpu.web.failures import Unready
from ogpu.web.freshness import Freshness
from ogpu.web.jsontext import written
from ogpu.web.kept import Kept, asked
from ogpu.web.reading import Index
from ogpu.web.values import Page, Position

T = TypeVar("T")

Question = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class One(Generic[T]):
    """An answer."""

    data: T


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """A page of a list."""

    data: tuple[T, ...]
    next: Annotated[str | None, Field(description="The cursor of the next page; null at the end.")]


@dataclass(frozen=True, slots=True)
class _Answer:
    etag: str
    position: Position
    body: bytes | None  # none when the client has it


class Answers:
    """Answers questions of the index as JSON."""

    def __init__(self, index: Index, freshness: Freshness, kept: Kept) -> None:
        self._index, self._freshness, self._kept = index, freshness, kept

    async def tell(self, request: Request, question: Question) -> Response:
        """The answer to a request; the question returns a value, a page, or None for what is not there."""
        name, known = asked(request), _etags(request)
        await self._freshness.of_all()
        found = await self._index.ask(lambda connection: self._look(connection, name, known, question))
        headers = {
            "ETag": found.etag,
            "Cache-Control": "no-cache",
            "X-Index-Block": str(found.position.number),
            "X-Index-Behind": str(max(0, found.position.head - found.position.number)),
        }
        if found.body is None:
            return Response(None, 304, headers)
        return Response(found.body, 200, headers, "application/json")

    def _look(self, connection: Connection, name: str, known: set[str], question: Question) -> _Answer:
        position = queries.position(connection)
        if position is None:
            raise Unready("The index is empty still.", hint="Its first blocks are being read; try again.")
        etag = _etag(position, name)
        if known & {etag, "*"}:
            return _Answer(etag, position, None)
        body = self._kept.get(etag)
        if body is None:
            body = _body(question(connection))
            self._kept.keep(etag, body)
        return _Answer(etag, position, body)


def _body(value: Any) -> bytes:
    if value is None:
        raise NotFound("The index has no such thing.", hint="Check the address, and the network.")
    return written(Many(value.items, value.next) if isinstance(value, Page) else One(value))


def _etag(position: Position, name: str) -> str:
    """Changes with the index and with the question; the block tells an index that was made anew."""
    state = f"{position.changes} {position.hash} {name}"
    return f'"{hashlib.blake2b(state.encode(errors="replace"), digest_size=16).hexdigest()}"'


def _etags(request: Request) -> set[str]:
    given = request.headers.get("if-none-match", "")
    return {each.strip().removeprefix("W/") for each in given.split(",")}
