"""The Terminal: who belongs to whom: providers, masters and agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol.checks import check_amount, check_text, check_type
from ogpu.protocol.contract import By, Contract
from ogpu.rpc.codec import checked_address
from ogpu.tx.state import Receipt

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role


class AsyncTerminal(Contract):
    """Calls of the Terminal contract. Without `private_key=` or `role=`, a call's usual role signs."""

    kind = "Terminal"

    # --- views

    async def master_of(self, provider: str) -> str | None:
        """The master that a provider is paired with."""
        return await self._optional("getMasterOf", checked_address(provider, "provider"))

    async def provider_of(self, master: str) -> str | None:
        """The provider that a master is paired with."""
        return await self._optional("providerOf", checked_address(master, "master"))

    async def is_master(self, account: str) -> bool:
        """Whether an account is a paired master."""
        return bool(await self._view("getIsMaster", checked_address(account, "account")))

    async def is_provider(self, account: str) -> bool:
        """Whether an account is a paired provider."""
        return bool(await self._view("isProvider", checked_address(account, "account")))

    async def is_agent_of(self, account: str, agent: str) -> bool:
        """Whether an account has named an agent itself."""
        return bool(
            await self._view(
                "isAgentOf", checked_address(account, "account"), checked_address(agent, "agent")
            )
        )

    async def get_is_agent_of(self, master: str, agent: str) -> bool:
        """Whether an agent acts for a master: one that it has named, or the default agent unless disabled."""
        return bool(
            await self._view(
                "getIsAgentOf", checked_address(master, "master"), checked_address(agent, "agent")
            )
        )

    async def default_agent_disabled(self, master: str) -> bool:
        """Whether a master refuses the network's default agent."""
        return bool(await self._view("defaultAgentDisabled", checked_address(master, "master")))

    async def base_data_of(self, provider: str) -> str:
        """What a provider has published of itself; anybody may have written anything."""
        return str(await self._view("baseDataOf", checked_address(provider, "provider")))

    async def live_data_of(self, provider: str) -> str:
        """What a provider has published of its present state; anybody may have written anything."""
        return str(await self._view("liveDataOf", checked_address(provider, "provider")))

    async def provider_role(self) -> bytes:
        """The id of the PROVIDER role, which each paired provider has: 32 bytes."""
        return bytes(await self._view("PROVIDER"))

    async def manager(self) -> str:
        """The address of the Manager contract."""
        return str(await self._view("manager"))

    async def vault(self) -> str:
        """The address of the Vault contract."""
        return str(await self._view("vault"))

    async def owner(self) -> str:
        """The account that administers the contract."""
        return str(await self._view("owner"))

    # --- transactions

    async def announce_provider(
        self,
        provider: str,
        amount: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """The master's half of a pairing; `amount` (wei of the sender's coin) becomes the provider's lockup.

        For anybody who is not paired. Raises `AlreadyPaired` or `NotProvider`.
        """
        return await self._send(
            "announceProvider",
            checked_address(provider, "provider"),
            check_amount(amount, "amount"),
            by=By(private_key, role, idempotency_key),
            usual="master",
            value=amount,
        )

    async def announce_master(
        self,
        master: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """The provider's half of a pairing.

        For anybody who is not paired. Raises `AlreadyPaired` or `NotMaster`.
        """
        return await self._send(
            "announceMaster",
            checked_address(master, "master"),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def remove_provider(
        self,
        provider: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """End a pairing; the provider keeps its lockup, and may still answer what it has attempted.

        For the provider's master only. Raises `NotMaster`.
        """
        return await self._send(
            "removeProvider",
            checked_address(provider, "provider"),
            by=By(private_key, role, idempotency_key),
            usual="master",
        )

    async def remove_container(
        self,
        provider: str,
        source: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Tell a provider to drop a source's container: a signal, which changes nothing on chain.

        For the provider's master only. Raises `NotMaster`.
        """
        return await self._send(
            "removeContainer",
            checked_address(provider, "provider"),
            checked_address(source, "source"),
            by=By(private_key, role, idempotency_key),
            usual="master",
        )

    async def set_agent(
        self,
        agent: str,
        value: bool,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Let an agent act for the sender, or no longer.

        For clients and masters, so a call names its `role` unless the client has a key of its own. Reverts
        with `NotMaster` for a paired provider, which can have no agents.
        """
        check_type(value, bool, "value")
        return await self._send(
            "setAgent",
            checked_address(agent, "agent"),
            value,
            by=By(private_key, role, idempotency_key),
            usual=None,
        )

    async def set_base_data(
        self,
        base_data: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Publish what the sender says of itself; anybody may, and everybody can read it."""
        return await self._send(
            "setBaseData",
            check_text(base_data, "base_data"),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def set_live_data(
        self,
        live_data: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Publish what the sender says of its present state; anybody may, and everybody can read it."""
        return await self._send(
            "setLiveData",
            check_text(live_data, "live_data"),
            by=By(private_key, role, idempotency_key),
            usual="provider",
        )

    async def set_default_agent_disabled(
        self,
        value: bool,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Refuse the network's default agent (True), or take it again. For a master, of itself."""
        check_type(value, bool, "value")
        return await self._send(
            "setDefaultAgentDisabled",
            value,
            by=By(private_key, role, idempotency_key),
            usual="master",
        )
