"""A source by its address: what it is, what it has, and what its client does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol import snapshots
from ogpu.protocol.chain import Chain
from ogpu.protocol.checks import check_amount
from ogpu.protocol.contract import By, Contract, present
from ogpu.protocol.market import Market
from ogpu.protocol.nexus import AsyncNexus
from ogpu.rpc.codec import checked_address
from ogpu.tx.keys import Keys
from ogpu.tx.state import Receipt
from ogpu.types import Environment, SourceInfo, SourceParams, SourceSnapshot, SourceStatus

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncSource(Contract):
    """A source. Reading raises `ContractMissing` or `WrongContract` when there is none at the address."""

    kind = "Source"

    def __init__(self, chain: Chain, keys: Keys, address: str, market: Market) -> None:
        super().__init__(chain, keys, address)
        self._market = market
        self._nexus = AsyncNexus(chain, keys)

    # --- views

    async def snapshot(self) -> SourceSnapshot:
        """The source at the latest block."""
        (source,) = await snapshots.sources(self._chain, [self.address])
        return source

    async def params(self) -> SourceParams:
        """Its terms as the contract holds them."""
        return await self._as(SourceParams.of, "getSourceParams")

    async def status(self) -> SourceStatus:
        """Whether it takes tasks."""
        return await self._as(SourceStatus, "getStatus")

    async def client(self) -> str:
        """The account that published it, and may change it."""
        return str(await self._view("getClient"))

    async def owner(self) -> str:
        """The contract's owner: a label, without rights."""
        return str(await self._view("owner"))

    async def nexus(self) -> str:
        """The Nexus that it obeys."""
        return str(await self._view("nexus"))

    async def task_count(self) -> int:
        """How many tasks it ever had."""
        return int(await self._view("getTaskCount"))

    async def tasks(self, lower: int = 0, upper: int | None = None) -> list[str]:
        """The addresses of its tasks at the places `[lower, upper)`, oldest first; all by default."""
        return present(await self._range("getTaskCount", "getTasks", lower, upper, from_zero="tasks"))

    async def task_at(self, place: int) -> str:
        """A task's address by its place, from 0; `ContractReverted` past the last."""
        return str(await self._view("tasks", check_amount(place, "place")))

    async def registrant_count(self) -> int:
        """How many registrations it ever had; those that ended are counted too."""
        return int(await self._view("getRegistrantCount"))

    async def registrants(self, lower: int = 0, upper: int | None = None) -> list[str]:
        """The providers registered at the places `[lower, upper)`; places of those that left are skipped."""
        return present(
            await self._range("getRegistrantCount", "getRegistrants", lower, upper, from_zero="registrants")
        )

    async def registrant_at(self, place: int) -> str | None:
        """The provider registered at a place, from 0.

        None where it left, `ContractReverted` past the last.
        """
        return await self._optional("registrants", check_amount(place, "place"))

    async def registrant_id(self, provider: str) -> int:
        """A provider's registration, from 1; 0 when it is not registered."""
        return int(await self._view("getRegistrantId", checked_address(provider, "provider")))

    async def preferred_environment_of(self, provider: str) -> Environment:
        """The hardware that a provider registered with; no bit when it is not registered."""
        return await self._as(Environment, "preferredEnvironmentOf", checked_address(provider, "provider"))

    # --- transactions

    async def update(
        self,
        source_info: SourceInfo,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Upload new metadata and replace the terms; tasks that exist keep theirs.

        For its client or an agent, while it is active; raises what `nexus.update_source` raises.
        """
        signer = self._keys.signer(private_key, role)  # before anything is uploaded
        params = await self._market.source_params(source_info, await self.client())
        return await self._nexus.update_source(
            self.address, params, private_key=signer, idempotency_key=idempotency_key
        )

    async def inactivate(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """End it for good; tasks that exist run on.

        For its client or an agent; raises what `nexus.inactivate_source` raises.
        """
        return await self._nexus.inactivate_source(
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
        """Give the label of owner to another account; its client stays who it is.

        For the owner. Raises `NotOwner`.
        """
        return await self._send(
            "transferOwnership",
            checked_address(new_owner, "new_owner"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )

    async def renounce_ownership(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Give up the label of owner for good; its client stays who it is.

        For the owner. Raises `NotOwner`.
        """
        return await self._send(
            "renounceOwnership", by=By(private_key, role, idempotency_key), usual="client"
        )
