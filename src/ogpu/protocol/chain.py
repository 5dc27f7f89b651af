"""One network's node, contracts and transactions; what a contract refuses is an error that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ogpu.networks import Network
from ogpu.protocol.reverts import explaining
from ogpu.protocol.views import PROBES, Block, Contracts, Read, View
from ogpu.rpc.codec import interface
from ogpu.rpc.transport import RPC
from ogpu.streams.streams import Streams
from ogpu.tx.journal import Journal
from ogpu.tx.manager import TransactionManager
from ogpu.tx.state import Call, Cost, Policy, Receipt, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

__all__ = ["Block", "Chain", "Read", "View"]


class Chain(Contracts):
    """The contracts, and transactions to them."""

    def __init__(self, network: Network, journal: Journal, policy: Policy, *, timeout: float) -> None:
        super().__init__(network, RPC(network.rpc_urls, network.chain_id, timeout=timeout))
        self.streams = Streams(self.rpc, network)
        self.transactions = TransactionManager(self.rpc, network.chain_id, journal, policy)
        self._there: set[tuple[str, str]] = set()

    async def close(self) -> None:
        """Stop what is followed, and close the connections."""
        await self.streams.close()
        await self.transactions.close()
        await self.rpc.close()

    async def check_there(self, contract: str, address: str) -> None:
        """Raise when such a contract is not there: what is sent to an empty address succeeds, and is lost."""
        if (contract, address) in self._there:
            return
        if contract in PROBES:
            await self.read(self.item(contract, address, PROBES[contract]))
        elif await self.rpc.call("eth_getCode", address, "latest") in ("0x", "0x0"):
            raise self.contract_missing(contract, address)
        self._there.add((contract, address))

    def call(self, contract: str, function: str, *arguments: Any, value: int = 0) -> Call:
        """A transaction to one of the network's own contracts."""
        data = interface(contract).functions[function].encode(*arguments)
        return Call(f"{contract}.{function}", self.network.contract(contract.upper()), data, value)

    async def send(self, call: Call, signer: Signer, options: SendOptions | None = None) -> Receipt:
        """Send a transaction and wait for its receipt; a refusal is raised as the error that it means."""
        async with explaining(self, call, signer.address):
            return await self.transactions.send(call, signer, options)

    async def resume(self, call: Call, signer: Signer, options: SendOptions) -> Receipt | None:
        """The receipt of such a call, when it was asked for before; None when it is new."""
        async with explaining(self, call, signer.address):
            return await self.transactions.resume(call, signer, options)

    async def send_new(self, call: Call, signer: Signer, options: SendOptions, gas: int) -> Receipt:
        """Send a call that `resume` did not know, with a gas limit from `gas_of`."""
        async with explaining(self, call, signer.address):
            return await self.transactions.send_new(call, signer, options, gas)

    async def gas_of(self, call: Call, sender: str) -> int:
        """The gas limit of a call; raises what sending it would raise now."""
        async with explaining(self, call, sender):
            return await self.transactions.gas_of(call, sender)

    async def estimate(self, call: Call, sender: str) -> Cost:
        """What a call would cost at most, now; raises what sending it would raise now."""
        async with explaining(self, call, sender):
            return await self.transactions.estimate(call, sender)
