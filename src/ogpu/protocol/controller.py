"""The Controller: tasks are published, confirmed and canceled through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol.checks import check_amount, check_text, check_type
from ogpu.protocol.contract import By, Contract
from ogpu.protocol.published import published
from ogpu.rpc.codec import checked_address
from ogpu.tx.state import Receipt
from ogpu.types import TaskParams

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncController(Contract):
    """Calls of the Controller contract. Without `private_key=` or `role=`, the client's key signs."""

    kind = "Controller"

    async def nexus(self) -> str:
        """The address of the Nexus contract."""
        return str(await self._view("nexus"))

    async def terminal(self) -> str:
        """The address of the Terminal contract."""
        return str(await self._view("terminal"))

    async def vault(self) -> str:
        """The address of the Vault contract."""
        return str(await self._view("vault"))

    async def owner(self) -> str:
        """The account that administers the contract."""
        return str(await self._view("owner"))

    async def publish_task(
        self,
        params: TaskParams,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Publish a task whose config is uploaded already; returns its address.

        Anyone may; the sender becomes the task's client, and its Vault balance pays. Raises
        `SourceInactive`, `PaymentTooLow`, `InvalidExpiry` or `InsufficientVaultBalance`.
        `client.publish_task()` uploads the config as well, and says beforehand what would fail.
        """
        check_type(params, TaskParams, "params")
        terms = (
            checked_address(params.source, "source"),
            check_text(params.config, "config"),
            check_amount(params.expiry_time, "expiry_time"),
            check_amount(params.payment, "payment"),
        )
        receipt = await self._send(
            "publishTask",
            terms,
            by=By(private_key, role, idempotency_key),
            usual="client",
            payment=params.payment,
        )
        return published(receipt, "TaskPublished", "task", self._chain.network.contract("NEXUS"))

    async def cancel_task(
        self,
        task: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Cancel a task that nobody has attempted; its payment goes back to its client's Vault balance.

        For the task's client or its agent (`role="agent"`). Raises `NotClient`, `InvalidStatus` or
        `AlreadyFinalized`.
        """
        return await self._send(
            "cancelTask",
            checked_address(task, "task"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )

    async def confirm_response(
        self,
        response: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Confirm a response: its provider gets its price, the client the rest, and the task is final.

        For the task's client or its agent, under manual confirmation. Raises `NotClient`,
        `AlreadyConfirmed`, `AlreadyFinalized` or `InvalidStatus`.
        """
        return await self._send(
            "confirmResponse",
            checked_address(response, "response"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )
