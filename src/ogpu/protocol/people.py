"""Providers and masters by their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol import snapshots
from ogpu.protocol.chain import Chain
from ogpu.protocol.nexus import AsyncNexus
from ogpu.protocol.terminal import AsyncTerminal
from ogpu.rpc.codec import checked_address
from ogpu.tx.keys import Keys
from ogpu.tx.state import Receipt
from ogpu.types import Environment, MasterSnapshot, ProviderSnapshot, ResponseParams

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncProvider:
    """A provider. It signs itself (`PROVIDER_PRIVATE_KEY`) unless a call names another role or key."""

    def __init__(self, chain: Chain, keys: Keys, address: str) -> None:
        self._chain = chain
        self._nexus, self._terminal = AsyncNexus(chain, keys), AsyncTerminal(chain, keys)
        self.address = checked_address(address, "provider")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    async def snapshot(self) -> ProviderSnapshot:
        """Its master, its data, its money in the Vault, and the sources that it is registered to."""
        return await snapshots.provider(self._chain, self.address)

    async def announce_master(
        self,
        master: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Its half of a pairing; raises what `terminal.announce_master` raises."""
        return await self._terminal.announce_master(
            master, private_key=private_key, role=role, idempotency_key=idempotency_key
        )

    async def register(
        self,
        source: str,
        environment: Environment,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Register it to a source; raises what `nexus.register` raises."""
        return await self._nexus.register(
            source,
            self.address,
            environment,
            private_key=private_key,
            role=role,
            idempotency_key=idempotency_key,
        )

    async def unregister(
        self,
        source: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Take it off a source; raises what `nexus.unregister` raises."""
        return await self._nexus.unregister(
            source, self.address, private_key=private_key, role=role, idempotency_key=idempotency_key
        )

    async def attempt(
        self,
        task: str,
        suggested_payment: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Take a task on and suggest a price (wei); raises what `nexus.attempt` raises."""
        return await self._nexus.attempt(
            task,
            self.address,
            suggested_payment,
            private_key=private_key,
            role=role,
            idempotency_key=idempotency_key,
        )

    async def submit_response(
        self,
        task: str,
        data: str,
        payment: int,
        *,
        private_key: Key | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Answer a task, normally with a result's link, for a price (wei); the address of the Response.

        With the provider's own key only; raises what `nexus.submit_response` raises.
        """
        params = ResponseParams(checked_address(task, "task"), self.address, data, payment)
        return await self._nexus.submit_response(
            params, private_key=private_key, idempotency_key=idempotency_key
        )

    async def set_base_data(
        self, base_data: str, *, private_key: Key | None = None, idempotency_key: str | None = None
    ) -> Receipt:
        """Publish what it says of itself; everybody can read it."""
        return await self._terminal.set_base_data(
            base_data, private_key=private_key, idempotency_key=idempotency_key
        )

    async def set_live_data(
        self, live_data: str, *, private_key: Key | None = None, idempotency_key: str | None = None
    ) -> Receipt:
        """Publish what it says of its present state; everybody can read it."""
        return await self._terminal.set_live_data(
            live_data, private_key=private_key, idempotency_key=idempotency_key
        )


class AsyncMaster:
    """A master. It signs itself (`MASTER_PRIVATE_KEY`) unless a call names another key."""

    def __init__(self, chain: Chain, keys: Keys, address: str) -> None:
        self._chain = chain
        self._keys = keys
        self._terminal = AsyncTerminal(chain, keys)
        self.address = checked_address(address, "master")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    async def snapshot(self) -> MasterSnapshot:
        """Its provider, whether it refuses the default agent, and its money in the Vault."""
        return await snapshots.master(self._chain, self.address)

    async def is_agent(self, agent: str) -> bool:
        """Whether an agent acts for it: one that it has named, or the default agent unless disabled."""
        return await self._terminal.get_is_agent_of(self.address, agent)

    async def announce_provider(
        self,
        provider: str,
        amount: int,
        *,
        private_key: Key | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Its half of a pairing; `amount` (wei of its coin) becomes the provider's lockup.

        Raises what `terminal.announce_provider` raises.
        """
        return await self._terminal.announce_provider(
            provider, amount, private_key=private_key, idempotency_key=idempotency_key
        )

    async def set_agent(
        self,
        agent: str,
        value: bool,
        *,
        private_key: Key | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Let an agent act for it, or no longer; raises what `terminal.set_agent` raises."""
        signer = self._keys.signer(private_key, usual="master")
        return await self._terminal.set_agent(
            agent, value, private_key=signer, idempotency_key=idempotency_key
        )

    async def set_default_agent_disabled(
        self, value: bool, *, private_key: Key | None = None, idempotency_key: str | None = None
    ) -> Receipt:
        """Refuse the network's default agent (True), or take it again."""
        return await self._terminal.set_default_agent_disabled(
            value, private_key=private_key, idempotency_key=idempotency_key
        )

    async def remove_provider(
        self,
        provider: str,
        *,
        private_key: Key | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """End the pairing; raises what `terminal.remove_provider` raises."""
        return await self._terminal.remove_provider(
            provider, private_key=private_key, idempotency_key=idempotency_key
        )

    async def remove_container(
        self,
        provider: str,
        source: str,
        *,
        private_key: Key | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Tell its provider to drop a source's container; raises what `terminal.remove_container` raises."""
        return await self._terminal.remove_container(
            provider, source, private_key=private_key, idempotency_key=idempotency_key
        )
