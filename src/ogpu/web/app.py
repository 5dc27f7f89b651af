"""The application: the management API and the page, over the index."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

import ogpu.web.routes
from ogpu.networks import Network
from ogpu.web.answers import Answers
from ogpu.web.failures import add_failures, error_schemas
from ogpu.web.freshness import Freshness
from ogpu.web.guard import Guard, Hosts
from ogpu.web.heads import Heads
from ogpu.web.health import Health, Keeper, add_health
from ogpu.web.jsontext import written
from ogpu.web.kept import Kept
from ogpu.web.limits import Limits
from ogpu.web.live import Live
from ogpu.web.live_route import Seats, add_live
from ogpu.web.metrics import Metrics
from ogpu.web.pages import Site, add_page
from ogpu.web.reading import Index
from ogpu.web.task_route import add_task
from ogpu.web.warming import warmed

T = TypeVar("T")

DESCRIPTION = """Read-only access to an index of the OpenGPU network.

Addresses are in EIP-55 spelling, amounts in wei as decimal strings, times in Unix seconds. Lists come in
pages: give a page's `next` as `cursor` for the one after it. Answers have an `ETag`; one that is given as
`If-None-Match` is answered with 304 while nothing changed. What strangers wrote, such as links and results,
is told as it is: show it as text.
"""


def create_app(
    index: Index,
    network: Network | None = None,
    *,
    limits: Limits | None = None,
    hosts: Hosts | None = None,
    origins: tuple[str, ...] = (),
    keeper: Keeper | None = None,
) -> Guard:
    """The application over an index; the FastAPI one in it is its `app`.

    With the network, it asks the nodes for the head. `hosts` are the names it goes by, loopback's by default,
    and `origins` other sites whose pages may read it. `keeper` keeps the indexer running.
    """
    limits = limits or Limits()
    metrics = Metrics()
    app = _application()
    app.state.index, app.state.network, app.state.limits = index, network, limits
    app.state.metrics, app.state.keeper = metrics, keeper
    name = network.name if network else "network"
    add_page(app, Site(name, _Fresh(app), Kept(limits.kept), lambda: keeper.trouble if keeper else ""))
    return Guard(app, limits=limits, hosts=hosts or Hosts(()), metrics=metrics, origins=origins)


class _Fresh:
    """The index for the page, which waits for it as the API does."""

    def __init__(self, app: FastAPI) -> None:
        self._state = app.state

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """What a function of a connection returns."""
        freshness: Freshness = self._state.freshness
        index: Index = self._state.index
        await freshness.of_all()
        return await index.ask(question)


def described() -> dict[str, Any]:
    """The OpenAPI document."""
    return _document(_application())


def _application() -> FastAPI:
    app = FastAPI(
        title="OpenGPU management API",
        version="1",
        description=DESCRIPTION,
        openapi_url=None,  # told as bytes that are made once
        docs_url=None,  # they load from other hosts
        redoc_url=None,
        lifespan=_lifespan,
    )
    add_failures(app)
    app.include_router(api_router())
    app.include_router(server_router())
    document = functools.cache(lambda: written(_document(app)))

    async def openapi(request: Request) -> Response:
        return Response(document(), media_type="application/json")

    app.add_route("/api/openapi.json", openapi, include_in_schema=False)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The document, without the enumerations that it tells by names where they are used."""
    document = app.openapi()
    schemas = {**document["components"]["schemas"], **error_schemas()}
    schemas = {name: schemas[name] for name in sorted(schemas) if schemas[name]["type"] != "integer"}
    return {**document, "components": {"schemas": schemas}}


def api_router() -> APIRouter:
    """The API's paths."""
    router = APIRouter(prefix="/api")
    add_task(router)
    ogpu.web.routes.add_lists(router)
    ogpu.web.routes.add_items(router)
    ogpu.web.routes.add_others(router)
    add_live(router)
    return router


def server_router() -> APIRouter:
    """The paths by which a server is watched."""
    router = APIRouter()
    add_health(router)
    return router


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What lives as long as the server does."""
    state = app.state
    heads = Heads(state.network) if state.network else None
    state.live = Live(state.index, state.limits)
    state.freshness = Freshness(state.index, state.live, heads, state.limits)
    state.answers = Answers(state.index, state.freshness, Kept(state.limits.kept))
    state.seats = Seats(state.limits)
    state.health = Health(state.index, heads, state.keeper, state.metrics, state.limits.behind)
    state.warmed = asyncio.create_task(warmed(app))
    beside = [asyncio.create_task(state.live.run()), state.warmed]
    try:
        yield
    finally:
        state.live.close()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if heads:
            await heads.close()
        state.index.close()
