"""Whether the server lives, whether its index can be relied on, and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from ogpu.web import queries
from ogpu.web.failures import Unready
from ogpu.web.failures import responses as errors
from ogpu.web.heads import Heads
from ogpu.web.jsontext import written
from ogpu.web.live import Live
from ogpu.web.metrics import CONTENT_TYPE, Metrics
from ogpu.web.reading import Index

HEAD_AGE = 1.0  # seconds
REFUSED = errors(414, 421, 422, 429, 431)


class Keeper(Protocol):
    """Who keeps an indexer running; `trouble` is "" while it runs."""

    @property
    def trouble(self) -> str: ...
    @property
    def starts(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Alive:
    """The process answers."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the index can be relied on, and why not."""

    ready: bool
    reason: Annotated[str, Field(description="Why not; empty when it is.")]
    block: Annotated[int | None, Field(description="The last block in the index.")]
    head: Annotated[int | None, Field(description="The newest block that is known.")]
    behind: Annotated[int | None, Field(description="Blocks by which the index is behind.")]


class Health:
    """Looks at the index, the chain and the indexer."""

    def __init__(
        self, index: Index, heads: Heads | None, keeper: Keeper | None, metrics: Metrics, most_behind: int
    ) -> None:
        self._index, self._heads, self._keeper, self._metrics = index, heads, keeper, metrics
        self._most_behind = most_behind

    async def look(self) -> Readiness:
        """How it is now; the figures are noted too."""
        trouble = self._keeper.trouble if self._keeper else ""
        position = None
        try:
            position = await self._index.ask(queries.position)
        except Unready as error:
            trouble = trouble or error.message
        told = await self._heads.recent(HEAD_AGE) if self._heads else None
        block = position.number if position else None
        known = [head for head in (told, position.head if position else None) if head is not None]
        head = told if told is not None else max(known, default=None)
        behind = max(0, head - block) if head is not None and block is not None else None
        found = Readiness(False, self._reason(trouble, block, behind), block, head, behind)
        found = Readiness(not found.reason, found.reason, block, head, behind)
        self._note(found, position.changes if position else 0)
        return found

    def _reason(self, trouble: str, block: int | None, behind: int | None) -> str:
        if trouble:
            return trouble
        if block is None:
            return "The index is empty still."
        if behind is not None and behind > self._most_behind:
            return f"The index is {behind} blocks behind."
        return ""

    def _note(self, found: Readiness, changes: int) -> None:
        self._metrics.ready.set(found.ready)
        self._metrics.changes.set(changes)
        self._metrics.indexer_starts.set(self._keeper.starts if self._keeper else 0)
        for gauge, value in (
            (self._metrics.block, found.block),
            (self._metrics.head, found.head),
            (self._metrics.behind, found.behind),
        ):
            gauge.set(float("nan") if value is None else value)


def add_health(router: APIRouter) -> None:
    """The paths that programs watch a server by."""

    @router.get(
        "/healthz",
        response_model=Alive,
        responses=REFUSED,
        summary="Whether the process answers",
        tags=["server"],
    )
    async def healthz() -> Response:
        """Says nothing of the index."""
        return Response(written(Alive()), media_type="application/json")

    @router.get(
        "/readyz",
        response_model=Readiness,
        responses={**REFUSED, 503: {"model": Readiness, "description": "Not ready."}},
        summary="Whether the index can be relied on",
        tags=["server"],
    )
    async def readyz(request: Request) -> Response:
        """503 when the index is missing or far behind, or when its indexer is dead."""
        health: Health = request.app.state.health
        found = await health.look()
        return Response(written(found), 200 if found.ready else 503, media_type="application/json")

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **REFUSED},
        summary="The server's figures, for Prometheus",
        tags=["server"],
    )
    async def metrics(request: Request) -> Response:
        """In Prometheus's text format."""
        health: Health = request.app.state.health
        figures: Metrics = request.app.state.metrics
        live: Live = request.app.state.live
        await health.look()
        figures.listeners.set(live.listeners)
        return Response(figures.text(), media_type=CONTENT_TYPE)
