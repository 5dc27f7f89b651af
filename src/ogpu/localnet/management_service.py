"""The local management service: a task's confirmed response, read from the chain at each request."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ogpu.aio import AsyncClient
from ogpu.errors import ContractMissing, InvalidAddress, NetworkError, WrongContract
from ogpu.types import TaskSnapshot


def management_app(client: AsyncClient) -> web.Application:
    """The service as an application: `GET /api/tasks/{task}`."""

    async def task(request: web.Request) -> web.Response:
        address = request.match_info["task"]
        try:
            return web.json_response({"data": await _described(client, address)})
        except InvalidAddress as error:
            return web.json_response({"error": error.message}, status=400)
        except (ContractMissing, WrongContract):
            return web.json_response({"error": f"There is no task at {address}."}, status=404)
        except NetworkError as error:
            return web.json_response({"error": error.message}, status=503)

    app = web.Application()
    app.router.add_get("/api/tasks/{task}", task)
    return app


async def _described(client: AsyncClient, address: str) -> dict[str, Any]:
    """The confirmed response with what one would ask next; without one there is no `address`."""
    task: TaskSnapshot = await client.get_task(address)
    common = {"task": task.address, "source": task.source, "taskStatus": task.status.name}
    for response in await client.get_task_responses(task.address):
        if response.confirmed:
            return {**response.to_dict(), **common}
    return common
