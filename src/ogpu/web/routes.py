"""The API's lists and items."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from ogpu.web import asked, queries, values
from ogpu.web.answers import Answers, Many, One
from ogpu.web.failures import responses

ERRORS = responses(400, 414, 421, 422, 429, 431, 503)
ITEM_ERRORS = responses(404, 414, 421, 422, 429, 431, 503)
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "What the client has is current."}}


async def answers_of(request: Request) -> Answers:
    """The application's answers; not in a thread, as a plain function would be."""
    found: Answers = request.app.state.answers
    return found


TheAnswers = Annotated[Answers, Depends(answers_of)]


def add_lists(router: APIRouter) -> None:
    """A path for each list."""
    for path, parameters, question, kind, tag in LISTS:
        _add_list(router, path, parameters, question, kind, tag)


def add_items(router: APIRouter) -> None:
    """A path for each kind of item that has an address."""
    for path, question, kind, tag in ITEMS:
        _add_item(router, path, question, kind, tag)


Ask = Callable[..., Any]

LISTS: tuple[tuple[str, type[asked.Asked], Ask, type[Any], str], ...] = (
    ("sources", asked.SourcesAsked, queries.sources, values.Source, "market"),
    ("registrations", asked.RegistrationsAsked, queries.registrations, values.Registration, "market"),
    ("tasks", asked.TasksAsked, queries.tasks, values.Task, "market"),
    ("attempts", asked.AttemptsAsked, queries.attempts, values.Attempt, "market"),
    ("responses", asked.ResponsesAsked, queries.responses, values.Response, "market"),
    ("payments", asked.PaymentsAsked, queries.payments, values.Payment, "market"),
    ("providers", asked.ProvidersAsked, queries.providers, values.Provider, "people"),
    ("masters", asked.MastersAsked, queries.masters, values.Master, "people"),
    ("agents", asked.AgentsAsked, queries.agents, values.Agent, "people"),
    ("accounts", asked.AccountsAsked, queries.accounts, values.Account, "people"),
    ("movements", asked.MovementsAsked, queries.movements, values.Movement, "people"),
    ("events", asked.EventsAsked, queries.events, values.Event, "chain"),
    ("blocks", asked.BlocksAsked, queries.blocks, values.Block, "chain"),
    (
        "reorganisations", asked.ReorganisationsAsked, queries.reorganisations, values.Reorganisation,
        "chain",
    ),
)  # fmt: skip

ITEMS: tuple[tuple[str, Ask, type[Any], str], ...] = (
    ("sources", queries.source, values.Source, "market"),
    ("responses", queries.response, values.Response, "market"),
    ("providers", queries.provider, values.Provider, "people"),
    ("masters", queries.master, values.Master, "people"),
    ("accounts", queries.account_life, values.AccountLife, "people"),
)


def _add_list(
    router: APIRouter, path: str, parameters: type[asked.Asked], question: Ask, kind: type[Any], tag: str
) -> None:
    async def answer(request: Request, answers: TheAnswers, given: Any) -> Response:
        arguments = given.given(request.app.state.limits.page)
        return await answers.tell(request, lambda connection: question(connection, **arguments))

    answer.__annotations__["given"] = Annotated[parameters, Query()]
    router.add_api_route(
        f"/{path}",
        answer,
        methods=["GET"],
        response_model=Many[kind],  # type: ignore[valid-type]
        responses={**UNCHANGED, **ERRORS},
        summary=f"{path.capitalize()}, a page at a time",
        description=inspect.getdoc(question),
        operation_id=f"list_{path}",
        tags=[tag],
    )


def _add_item(router: APIRouter, path: str, question: Ask, kind: type[Any], tag: str) -> None:
    name = path.removesuffix("s")

    async def answer(request: Request, answers: TheAnswers, address: asked.AddressInPath) -> Response:
        return await answers.tell(request, lambda connection: question(connection, address))

    router.add_api_route(
        f"/{path}/{{address}}",
        answer,
        methods=["GET"],
        response_model=One[kind],  # type: ignore[valid-type]
        responses={**UNCHANGED, **ITEM_ERRORS},
        summary=f"One {name}",
        description=inspect.getdoc(question),
        operation_id=f"get_{name}",
        tags=[tag],
    )


def add_others(router: APIRouter) -> None:
    """What is neither a list nor has an address."""

    @router.get(
        "/blocks/{number}",
        response_model=One[values.Block],
        responses={**UNCHANGED, **ITEM_ERRORS},
        summary="One block",
        operation_id="get_block",
        tags=["chain"],
    )
    async def block(request: Request, answers: TheAnswers, number: asked.NumberInPath) -> Response:
        """A block with events, or one that is not final."""
        return await answers.tell(request, lambda connection: queries.block(connection, number))

    @router.get(
        "/statistics",
        response_model=One[values.Statistics],
        responses={**UNCHANGED, **ERRORS},
        summary="Sums, and what happened when",
        operation_id="get_statistics",
        tags=["chain"],
    )
    async def statistics(
        request: Request, answers: TheAnswers, given: Annotated[asked.StatisticsAsked, Query()]
    ) -> Response:
        """Sums over all, and the newest intervals in which something happened."""
        return await answers.tell(
            request, lambda connection: queries.statistics(connection, **given.model_dump())
        )

    @router.get(
        "/search",
        response_model=One[tuple[values.Hit, ...]],
        responses={**UNCHANGED, **ERRORS},
        summary="What an address, a hash, a number or a beginning stands for",
        operation_id="search",
        tags=["chain"],
    )
    async def search(
        request: Request, answers: TheAnswers, given: Annotated[asked.SearchAsked, Query()]
    ) -> Response:
        """At most twenty, the most special first; nothing for words that cannot be meant."""
        return await answers.tell(request, lambda connection: queries.search(connection, given.q))

    @router.get(
        "/status",
        response_model=One[values.Position],
        responses={**UNCHANGED, **ERRORS},
        summary="How far the index is",
        operation_id="get_status",
        tags=["chain"],
    )
    async def status(request: Request, answers: TheAnswers) -> Response:
        """The last block in the index, and the newest that the node told."""
        return await answers.tell(request, queries.position)
