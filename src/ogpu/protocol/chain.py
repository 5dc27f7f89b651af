"""Reading and writing contracts: batched calls at one block, and errors that say what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ogpu.errors import (
    ContractMissing,
    ContractReverted,
    OGPUError,
    RPCFailed,
    RPCInvalidResponse,
    WrongContract,
)
from ogpu.networks import Network
from ogpu.rpc.codec import interface
from ogpu.rpc.transport import BATCH_SIZE, RPC, Request, mapping, quantity, raised
from ogpu.tx.journal import Journal
from ogpu.tx.manager import TransactionManager
from ogpu.tx.quote import revert_of
from ogpu.tx.state import Call, Policy, Receipt, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer


@dataclass(frozen=True)
class Read:
    """One view call: the kind of contract, its address, the function and its arguments."""

    contract: str
    address: str
    function: str
    arguments: tuple[Any, ...] = ()


class Chain:
    """One network's node, contracts and transactions."""

    def __init__(self, network: Network, journal: Journal, policy: Policy, *, timeout: float) -> None:
        self.network = network
        self.rpc = RPC(network.rpc_urls, network.chain_id, timeout=timeout)
        self.transactions = TransactionManager(self.rpc, network.chain_id, journal, policy)

    async def close(self) -> None:
        """Stop what is followed, and close the connections."""
        await self.transactions.close()
        await self.rpc.close()

    def core(self, contract: str, function: str, *arguments: Any) -> Read:
        """A view call of one of the network's own contracts, such as "Vault"."""
        return Read(contract, self.network.contract(contract.upper()), function, arguments)

    def call(self, contract: str, function: str, *arguments: Any, value: int = 0) -> Call:
        """A transaction to one of the network's own contracts."""
        data = interface(contract).functions[function].encode(*arguments)
        return Call(f"{contract}.{function}", self.network.contract(contract.upper()), data, value)

    async def send(self, call: Call, signer: Signer, options: SendOptions | None = None) -> Receipt:
        """Send a transaction and wait for its receipt."""
        return await self.transactions.send(call, signer, options)

    async def block(self) -> str:
        """The latest block's number, for reads that belong together."""
        return hex(quantity(await self.rpc.call("eth_blockNumber")))

    async def read(self, *reads: Read, block: str = "latest") -> list[Any]:
        """The decoded results of view calls, in order, at one block."""
        if block == "latest" and len(reads) >= BATCH_SIZE:
            block = await self.block()
        # Asked for with them, the head shows a node that lags; their answers alone would not.
        head: list[Request] = [("eth_blockNumber", [])] if block == "latest" else []
        functions = [interface(read.contract).functions[read.function] for read in reads]
        answers = await self.rpc.batch(
            head
            + [
                ("eth_call", [{"to": read.address, "data": function.encode(*read.arguments)}, block])
                for read, function in zip(reads, functions, strict=True)
            ]
        )
        results = []
        for read, function, answer in zip(reads, functions, answers[len(head) :], strict=True):
            try:
                results.append(function.decode(raised(answer)))
            except (RPCFailed, RPCInvalidResponse) as error:
                raise await self._explained(read, error) from error
        return results

    async def _explained(self, read: Read, error: OGPUError) -> OGPUError:
        """Why a view call failed: no contract there, another kind of contract, or the node's own error."""
        facts = {"address": read.address, "expected": read.contract}
        if await self.rpc.call("eth_getCode", read.address, "latest") in ("0x", "0x0"):
            return ContractMissing(
                f"There is no contract at {read.address} on {self.network.name}; "
                f"a {read.contract} was expected.",
                hint="Check the address and the network.",
                facts=facts,
            )
        if (
            isinstance(error, RPCFailed)
            and revert_of(error) is None
            and "invalid opcode" not in str(error).lower()
        ):
            return error
        if isinstance(error, RPCFailed) and (reason := revert_of(error)):
            return ContractReverted(
                f"{read.contract}.{read.function} failed: {reason}.", reason=reason, facts=facts
            )
        return self.wrong_contract(read.contract, read.address)

    def wrong_contract(self, expected: str, address: str) -> WrongContract:
        """That the contract at an address is not of the kind that is needed."""
        return WrongContract(
            f"The contract at {address} on {self.network.name} is no {expected}.",
            hint="Check the address.",
            facts={"address": address, "expected": expected},
        )

    async def head(self) -> tuple[int, int]:
        """The number and timestamp of the latest block."""
        block = mapping(await self.rpc.call("eth_getBlockByNumber", "latest", False))
        return quantity(block.get("number")), quantity(block.get("timestamp"))

    async def logs(self, contract: str, events: Sequence[str], first: int, last: int) -> list[dict[str, Any]]:
        """The raw logs of some events of one of the network's own contracts, both blocks included."""
        topics = [interface(contract).events[event].topic for event in events]
        query = {
            "address": self.network.contract(contract.upper()),
            "topics": [topics],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        answer = await self.rpc.call("eth_getLogs", query)
        if not isinstance(answer, list):
            raise RPCInvalidResponse("The node answered eth_getLogs with something else than a list.")
        return answer
