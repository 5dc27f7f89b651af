"""Providers and masters: pairing, registration, attempts and responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ogpu.protocol.chain import Chain, Read
from ogpu.rpc.codec import ZERO_ADDRESS, keccak
from ogpu.tx.state import Receipt
from ogpu.types import Environment

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer


@dataclass(frozen=True)
class Registration:
    """What decides whether a provider may register to a source; amounts in wei."""

    registered: bool
    free_lockup: int
    lockup_needed: int


class Participants:
    """What a provider, its master and their operator do on chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def announce_provider(self, provider: str, amount: int, master: Signer) -> Receipt:
        """The master's half of a pairing; `amount` (wei) becomes the provider's lockup."""
        call = self._chain.call("Terminal", "announceProvider", provider, amount, value=amount)
        return await self._chain.send(call, master)

    async def announce_master(self, master: str, provider: Signer) -> Receipt:
        """The provider's half of a pairing."""
        return await self._chain.send(self._chain.call("Terminal", "announceMaster", master), provider)

    async def master_of(self, provider: str) -> str | None:
        """The master that a provider is paired with."""
        (master,) = await self._chain.read(self._chain.core("Terminal", "getMasterOf", provider))
        return None if master == ZERO_ADDRESS else master

    async def sources(self, known: int) -> list[str]:
        """The sources that were published after the first `known` ones."""
        (count,) = await self._chain.read(self._chain.core("Nexus", "getSourceCount"))
        if count <= known:
            return []
        (addresses,) = await self._chain.read(self._chain.core("Nexus", "getSources", known, count - 1))
        return [address for address in addresses if address != ZERO_ADDRESS]

    async def registration(self, source: str, provider: str, min_lockup: int) -> Registration:
        """Where a provider stands with a source."""
        core = self._chain.core
        number, lockup, per_source = await self._chain.read(
            Read("Source", source, "getRegistrantId", (provider,)),
            core("Vault", "getLockupOf", provider),
            core("Vault", "MIN_LOCKUP_PER_SOURCE"),
        )
        return Registration(number != 0, lockup, max(per_source, min_lockup))

    async def register(self, source: str, environment: Environment, provider: Signer) -> Receipt:
        """Register the provider to a source, with one environment that the source offers."""
        call = self._chain.call("Nexus", "register", source, provider.address, int(environment))
        return await self._chain.send(call, provider)

    async def has_attempted(self, task: str, provider: str) -> bool:
        """Whether the provider has attempted the task."""
        (number,) = await self._chain.read(Read("Task", task, "getAttempterId", (provider,)))
        return bool(number)

    async def response_of(self, task: str, provider: str) -> str | None:
        """The provider's response to a task, when there is one."""
        (address,) = await self._chain.read(Read("Task", task, "responseOf", (provider,)))
        return None if address == ZERO_ADDRESS else address

    async def attempt(self, task: str, price: int, provider: Signer) -> Receipt:
        """Bid for a task; `price` in wei."""
        call = self._chain.call("Nexus", "attempt", task, provider.address, price)
        return await self._chain.send(call, provider)

    async def is_submitted(self, task: str, data: str) -> bool:
        """Whether some provider has answered the task with exactly this data."""
        (submitted,) = await self._chain.read(
            Read("Task", task, "isAlreadySubmitted", (keccak(data.encode()),))
        )
        return bool(submitted)

    async def submit_response(self, task: str, data: str, price: int, provider: Signer) -> Receipt:
        """Answer a task that was attempted; `data` is normally the link of the result."""
        params = (task, provider.address, data, price)
        return await self._chain.send(self._chain.call("Nexus", "submitResponse", params), provider)
