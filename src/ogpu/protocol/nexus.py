"""The Nexus: the registry of sources and tasks; registration, attempts and responses."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from ogpu.protocol.checks import (
    check_amount,
    check_delivery_method,
    check_environment,
    check_text,
    check_type,
)
from ogpu.protocol.contract import By, Contract, present
from ogpu.protocol.published import published
from ogpu.rpc.codec import checked_address
from ogpu.tx.state import Receipt
from ogpu.types import Environment, ResponseParams, SourceParams

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncNexus(Contract):
    """Calls of the Nexus contract. Without `private_key=` or `role=`, a call's usual role signs."""

    kind = "Nexus"

    # --- views

    async def source_count(self) -> int:
        """How many sources were ever published, inactive ones among them."""
        return int(await self._view("getSourceCount"))

    async def sources(self, lower: int = 0, upper: int | None = None) -> list[str]:
        """The sources at the places `[lower, upper)`, in the order of their publication; all by default."""
        return present(await self._range("getSourceCount", "getSources", lower, upper))

    async def source_at(self, place: int) -> str:
        """The source at a place, from 0; `ContractReverted` past the last."""
        return str(await self._view("sources", check_amount(place, "place")))

    async def source_of(self, client: str, place: int) -> str:
        """A client's source by its place among that client's, from 0; `ContractReverted` past the last."""
        return str(
            await self._view("sourcesOf", checked_address(client, "client"), check_amount(place, "place"))
        )

    async def source_id(self, source: str) -> int:
        """The number of a source, from 1; 0 when the Nexus does not know it."""
        return int(await self._view("getSourceId", checked_address(source, "source")))

    async def active_source_count(self, client: str) -> int:
        """How many active sources a client has; its stake must cover them."""
        return int(await self._view("getActiveSourceCount", checked_address(client, "client")))

    async def client_at(self, place: int) -> str:
        """An account that has published a source, by its place from 0; `ContractReverted` past the last."""
        return str(await self._view("clients", check_amount(place, "place")))

    async def check_controller(self, account: str) -> bool:
        """Whether an account has the protocol's CONTROLLER role."""
        return bool(await self._view("checkController", checked_address(account, "account")))

    async def controller_role(self) -> bytes:
        """The id of the CONTROLLER role: 32 bytes."""
        return bytes(await self._view("CONTROLLER"))

    async def provider_role(self) -> bytes:
        """The id of the PROVIDER role, which each paired provider has: 32 bytes."""
        return bytes(await self._view("PROVIDER"))

    async def manager(self) -> str:
        """The address of the Manager contract."""
        return str(await self._view("manager"))

    async def terminal(self) -> str:
        """The address of the Terminal contract."""
        return str(await self._view("terminal"))

    async def vault(self) -> str:
        """The address of the Vault contract."""
        return str(await self._view("vault"))

    async def owner(self) -> str:
        """The account that administers the contract."""
        return str(await self._view("owner"))

    # --- transactions

    async def publish_source(
        self,
        params: SourceParams,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Publish a source whose metadata is uploaded already; returns its address.

        For `params.client` or its agent. Raises `NotClient`, `NotEligible` (stake, counting this
        source) or `InvalidEnvironment`. `client.publish_source()` uploads the metadata as well.
        """
        receipt = await self._send(
            "publishSource",
            source_terms(params),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )
        return published(receipt, "SourcePublished", "source", self.address)

    async def update_source(
        self,
        source: str,
        params: SourceParams,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Replace a source's terms; tasks that exist keep theirs.

        For the source's client or its agent, while it is active. Raises `NotClient`, `SourceInactive`
        or `InvalidEnvironment`. `client.source(…).update()` uploads new metadata as well.
        """
        return await self._send(
            "updateSource",
            checked_address(source, "source"),
            source_terms(params),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )

    async def inactivate_source(
        self,
        source: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """End a source for good; tasks that exist run on.

        For the source's client or its agent. Raises `NotClient` or `SourceInactive`.
        """
        return await self._send(
            "inactivateSource",
            checked_address(source, "source"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )

    async def register(
        self,
        source: str,
        provider: str,
        environment: Environment,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Register a paired provider to a source, with one environment that the source offers.

        For the provider, its master, or the master's agent (`role="master"`, `role="agent"`). Raises
        `NotAgent`, `NotProvider` (not paired), `AlreadyRegistered`, `InvalidEnvironment`,
        `InsufficientLockup` or `SourceInactive`.
        """
        return await self._send(
            "register",
            checked_address(source, "source"),
            checked_address(provider, "provider"),
            int(check_environment(environment)),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def unregister(
        self,
        source: str,
        provider: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Take a provider off a source; what it has attempted stays.

        For the provider, its master, or the master's agent. Raises `NotAgent`, `NotRegistered`, or
        `SourceInactive` when the Nexus does not know the source.
        """
        return await self._send(
            "unregister",
            checked_address(source, "source"),
            checked_address(provider, "provider"),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def attempt(
        self,
        task: str,
        provider: str,
        suggested_payment: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Take a task on for a provider, and suggest a price (wei, at most the task's payment).

        For the provider, its master, or the master's agent. Raises `NotAgent`, `NotRegistered`,
        `NotProvider`, `NotEligible`, `AlreadyAttempted`, `PriceTooHigh`, `InvalidStatus` or
        `AlreadyFinalized`. Past the expiry it does not revert: it marks the task EXPIRED and refunds its
        client.
        """
        return await self._send(
            "attempt",
            checked_address(task, "task"),
            checked_address(provider, "provider"),
            check_amount(suggested_payment, "suggested_payment"),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def submit_response(
        self,
        params: ResponseParams,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Answer a task that was attempted; returns the address of the new Response.

        For the provider itself only. `params.payment` is its price (wei). Under first response the first
        answer is final and gets the task's whole payment. Raises `NotProvider`, `NotAttempted`,
        `AlreadySubmitted`, `SubmittedTooLate`, `PriceTooHigh`, `InvalidStatus` or `AlreadyFinalized`.
        """
        check_type(params, ResponseParams, "params")
        terms = (
            checked_address(params.task, "task"),
            checked_address(params.provider, "provider"),
            check_text(params.data, "data"),
            check_amount(params.payment, "payment"),
        )
        receipt = await self._send(
            "submitResponse",
            terms,
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )
        return published(receipt, "ResponseSubmitted", "response", self.address)


def source_terms(params: SourceParams) -> tuple[object, ...]:
    """A source's terms, checked, in the contracts' own order."""
    check_type(params, SourceParams, "params")
    checked_address(params.client, "client")
    check_environment(params.image_environments, "image_environments")
    for name in ("image_metadata_url", "optional_params_url"):
        check_text(getattr(params, name), name)
    for name in ("min_payment", "min_available_lockup", "max_expiry_duration", "last_update_time"):
        check_amount(getattr(params, name), name)
    check_type(params.privacy_enabled, bool, "privacy_enabled")
    check_delivery_method(params.delivery_method, "delivery_method")
    return astuple(params)
