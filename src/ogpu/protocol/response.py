"""A submitted response by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol import snapshots
from ogpu.protocol.contract import Contract
from ogpu.protocol.controller import AsyncController
from ogpu.tx.state import Receipt
from ogpu.types import Response, ResponseParams, ResponseStatus

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncSubmittedResponse(Contract):
    """A response. Reading raises `ContractMissing` or `WrongContract` when there is none at the address."""

    kind = "Response"

    async def snapshot(self) -> Response:
        """The response at the latest block."""
        (response,) = await snapshots.responses_at(self._chain, [self.address])
        return response

    async def params(self) -> ResponseParams:
        """What its provider submitted."""
        return ResponseParams(*await self._view("getResponseParams"))

    async def status(self) -> ResponseStatus:
        """Whether it was confirmed."""
        return await self._as(ResponseStatus, "getStatus")

    async def timestamp(self) -> int:
        """When it was submitted, in Unix seconds."""
        return int(await self._view("responseTimestamp"))

    async def confirmed_final(self) -> bool:
        """Whether it is the one that its task was finalized with."""
        return bool(await self._view("confirmedFinal"))

    async def owner(self) -> str:
        """The contract that it obeys: the Nexus."""
        return str(await self._view("owner"))

    async def confirm(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Pay its provider and finish its task; raises what `controller.confirm_response` raises.

        For the task's client or an agent.
        """
        return await AsyncController(self._chain, self._keys).confirm_response(
            self.address, private_key=private_key, role=role, idempotency_key=idempotency_key
        )
