"""A task by its address: what it is, who attempted it, what was answered, and what its client does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol import snapshots
from ogpu.protocol.checks import check_amount, check_range, check_text
from ogpu.protocol.contract import By, Contract
from ogpu.protocol.controller import AsyncController
from ogpu.rpc.codec import checked_address, keccak
from ogpu.tx.state import Receipt
from ogpu.types import DeliveryMethod, Response, TaskParams, TaskSnapshot, TaskStatus

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncTask(Contract):
    """A task. Reading raises `ContractMissing` or `WrongContract` when there is none at the address."""

    kind = "Task"

    # --- views

    async def snapshot(self) -> TaskSnapshot:
        """The task at the latest block."""
        (task,) = await snapshots.tasks(self._chain, [self.address])
        return task

    async def params(self) -> TaskParams:
        """Its terms as the contract holds them."""
        return TaskParams(*await self._view("taskParams"))

    async def status(self) -> TaskStatus:
        """Where it is in its life."""
        return await self._as(TaskStatus, "getStatus")

    async def source(self) -> str:
        """The source that it is a call of."""
        return str(await self._view("getSource"))

    async def payment(self) -> int:
        """What it pays at most (wei)."""
        return int(await self._view("getPayment"))

    async def expiry_time(self) -> int:
        """When it expires, in Unix seconds."""
        return int(await self._view("getExpiryTime"))

    async def delivery_method(self) -> DeliveryMethod:
        """How it gets its final response."""
        return await self._as(DeliveryMethod, "getDeliveryMethod")

    async def owner(self) -> str:
        """Its client: who confirms, cancels, and gets refunds."""
        return str(await self._view("owner"))

    async def winning_provider(self) -> str | None:
        """The provider whose response was confirmed."""
        return await self._optional("winningProvider")

    async def attempt_count(self) -> int:
        """How many providers have taken it on."""
        return int(await self._view("getAttemptCount"))

    async def attempters(self, lower: int = 0, upper: int | None = None) -> list[str]:
        """The providers of the attempts `[lower, upper)`, first one first; all by default."""
        return list(await self._range("getAttemptCount", "getAttempters", lower, upper))

    async def attempter_at(self, place: int) -> str:
        """The provider of one attempt, by its place from 0; `ContractReverted` past the last."""
        return str(await self._view("attempters", check_amount(place, "place")))

    async def attempter_id(self, provider: str) -> int:
        """A provider's attempt, from 1; 0 when it has made none."""
        return int(await self._view("getAttempterId", checked_address(provider, "provider")))

    async def attempt_timestamps(self, lower: int = 0, upper: int | None = None) -> list[int]:
        """When the attempts `[lower, upper)` were made, in Unix seconds; all by default."""
        return list(await self._range("getAttemptCount", "getAttemptTimestamps", lower, upper))

    async def attempt_timestamp_at(self, place: int) -> int:
        """When one attempt was made (Unix seconds), by its place from 0; `ContractReverted` past the last."""
        return int(await self._view("attemptTimestamps", check_amount(place, "place")))

    async def response_of(self, provider: str) -> str | None:
        """The address of a provider's response, when there is one."""
        return await self._optional("responseOf", checked_address(provider, "provider"))

    async def responses(self, lower: int = 0, upper: int | None = None) -> list[Response]:
        """The responses `[lower, upper)` in the order of the attempts; all by default."""
        check_range(lower, upper)
        return await snapshots.responses_of(self._chain, self.address, lower, upper)

    async def is_already_submitted(self, data: str) -> bool:
        """Whether some provider has answered with exactly this data."""
        return bool(await self._view("isAlreadySubmitted", keccak(check_text(data, "data").encode())))

    # --- transactions

    async def cancel(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Cancel it while nobody has attempted it; the payment goes back. For its client or an agent."""
        return await AsyncController(self._chain, self._keys).cancel_task(
            self.address, private_key=private_key, role=role, idempotency_key=idempotency_key
        )

    async def transfer_ownership(
        self,
        new_owner: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Make another account its client, who then confirms and gets refunds. For its client.

        Raises `NotOwner`.
        """
        return await self._send(
            "transferOwnership",
            checked_address(new_owner, "new_owner"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )
