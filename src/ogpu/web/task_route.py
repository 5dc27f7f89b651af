"""A task with its confirmed response, as fresh as the chain: what the published clients ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from ogpu.types import ResponseStatus
from ogpu.web import queries
from ogpu.web.answers import One
from ogpu.web.asked import AddressInPath
from ogpu.web.freshness import Freshness
from ogpu.web.routes import ITEM_ERRORS, UNCHANGED, TheAnswers
from ogpu.web.values import Address, TaskLife, TaskStatusName, Time, Wei

_ABSENT = "Not there while no response is confirmed."


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task's confirmed response, by the names that existing clients know, and the task's life."""

    task: Address
    source: Address
    taskStatus: TaskStatusName
    life: TaskLife
    address: Annotated[Address | None, Field(description=f"The confirmed response. {_ABSENT}")] = None
    provider: Annotated[Address | None, Field(description=_ABSENT)] = None
    data: Annotated[str | None, Field(description=f"What the provider gave. {_ABSENT}")] = None
    payment: Annotated[Wei | None, Field(description=f"What the provider asked. {_ABSENT}")] = None
    status: Annotated[int | None, Field(description=f"1, which is confirmed. {_ABSENT}")] = None
    timestamp: Annotated[Time | None, Field(description=f"When it was submitted. {_ABSENT}")] = None
    confirmed: Annotated[bool | None, Field(description=_ABSENT)] = None


def add_task(router: APIRouter) -> None:
    """The path of a task."""

    @router.get(
        "/tasks/{task}",
        response_model=One[TaskData],
        responses={**UNCHANGED, **ITEM_ERRORS},
        summary="One task, with its confirmed response",
        operation_id="get_task",
        tags=["market"],
    )
    async def task(request: Request, answers: TheAnswers, task: AddressInPath) -> Response:
        """A client may ask right after its confirmation was mined: the answer waits for the index.

        `address` is the confirmed response, and is not there before one is confirmed.
        """
        freshness: Freshness = request.app.state.freshness
        await freshness.of_task(task)
        return await answers.tell(request, lambda connection: _told(connection, task))


def _told(connection: Connection, task: str) -> dict[str, Any] | None:
    life = queries.task_life(connection, task)
    if life is None:
        return None
    common = {"task": task, "source": life.task.source, "taskStatus": life.task.status, "life": life}
    address = life.task.confirmed_response
    response = queries.response(connection, address) if address else None
    if response is None:
        return common
    return {
        "address": response.address,
        "provider": response.provider,
        "data": response.data,
        "payment": str(response.payment),
        "status": int(response.status),
        "timestamp": response.submitted.at,
        "confirmed": response.status is ResponseStatus.CONFIRMED,
        **common,
    }
