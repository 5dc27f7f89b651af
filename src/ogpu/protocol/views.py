"""Reading contracts: batched calls at one block, and errors that say what is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ogpu.errors import (
    ContractMissing,
    ContractReverted,
    NodeBehind,
    OGPUError,
    Reorganised,
    RPCFailed,
    RPCInvalidResponse,
    WrongContract,
)
from ogpu.networks import Network
from ogpu.rpc.codec import interface
from ogpu.rpc.reverts import revert_of
from ogpu.rpc.transport import RPC, Request, hash_of, mapping, quantity, raised

T = TypeVar("T")

PROBES: Mapping[str, str] = {  # a getter that no other kind has, of each whose getters may refuse an argument
    "Nexus": "getSourceCount",
    "Vault": "MIN_LOCKUP_PER_SOURCE",
    "Source": "getRegistrantCount",
    "Task": "getExpiryTime",
    "Response": "responseTimestamp",
}
READS_AGAIN = 3  # of what a reorganisation, or a block that is just being mined, has torn


@dataclass(frozen=True)
class Read:
    """One view call: the kind of contract, its address, the function and its arguments."""

    contract: str
    address: str
    function: str
    arguments: tuple[Any, ...] = ()

    def request(self, block: str) -> Request:
        """The call in JSON-RPC's terms."""
        data = interface(self.contract).functions[self.function].encode(*self.arguments)
        return "eth_call", [{"to": self.address, "data": data}, block]

    def result(self, answer: Any) -> Any:
        """The decoded result; raises `RPCInvalidResponse`."""
        return interface(self.contract).functions[self.function].decode(answer)


@dataclass(frozen=True)
class Block:
    """A block of the chain; `timestamp` in Unix seconds."""

    number: int
    hash: str
    timestamp: int


class Contracts:
    """The contracts of one network, as its node shows them."""

    def __init__(self, network: Network, rpc: RPC) -> None:
        self.network = network
        self.rpc = rpc

    def core(self, contract: str, function: str, *arguments: Any) -> Read:
        """A view call of one of the network's own contracts, such as "Vault"."""
        return Read(contract, self.network.contract(contract.upper()), function, arguments)

    def item(self, contract: str, address: str, function: str, *arguments: Any) -> Read:
        """A view call of a contract of that kind."""
        return Read(contract, address, function, arguments)

    async def read(self, *reads: Read) -> list[Any]:
        """The decoded results of a few view calls, in order, at the latest block: one request."""
        # Asked for with them, the head shows a node that lags; their answers alone would not.
        head: Request = ("eth_blockNumber", [])
        answers = await self.rpc.batch([head, *(read.request("latest") for read in reads)])
        return await self._decoded(reads, answers[1:], "latest")

    async def at_one_block(self, reading: Callable[[View], Awaitable[T]]) -> T:
        """The result of reads in as many batches as it takes, all of one block that is still the chain's.

        It is read again when a reorganisation dropped the block meanwhile, or made the chain shorter. So it
        is, too, when something was not there: a node may show the next block's state under the last one's
        number for a moment, as anvil does while it mines, and a count read then is past the list that is read
        after it.
        """
        failure: OGPUError
        for _ in range(READS_AGAIN):
            block = await self.head()
            try:
                return await reading(View(self, block))
            except (Reorganised, NodeBehind, ContractReverted) as error:
                failure = error
        raise failure

    async def read_at(self, reads: Sequence[Read], block: Block) -> list[Any]:
        """The results of view calls at a block, with the proof that it was still there after them."""
        at = hex(block.number)
        requests, check = [read.request(at) for read in reads], ("eth_getBlockByNumber", [at, False])
        if len(requests) < self.rpc.batch_size:
            *answers, now = await self.rpc.batch([*requests, check])
        else:  # several batches are on their way at once, and none is the last
            answers = await self.rpc.batch(requests)
            (now,) = await self.rpc.batch([check])
        there = raised(now)  # null when the chain is shorter now
        if there is None or hash_of(mapping(there).get("hash")) != block.hash:
            raise Reorganised(
                f"Block {block.number} was dropped while {self.network.name} was read.",
                hint="Try again.",
                facts={"block": block.number, "hash": block.hash},
            )
        return await self._decoded(reads, answers, at)

    async def _decoded(self, reads: Sequence[Read], answers: Sequence[Any], block: str) -> list[Any]:
        results = []
        for read, answer in zip(reads, answers, strict=True):
            try:
                results.append(read.result(raised(answer)))
            except (RPCFailed, RPCInvalidResponse) as error:
                raise await self._explained(read, error, block) from error
        return results

    async def _explained(self, read: Read, error: OGPUError, block: str) -> OGPUError:
        """Why a view call failed: no contract there, another kind of contract, or the node's own error."""
        if await self.rpc.call("eth_getCode", read.address, block) in ("0x", "0x0"):
            return self.contract_missing(read.contract, read.address)
        if not isinstance(error, RPCFailed):
            return self.wrong_contract(read.contract, read.address)
        revert = revert_of(error)
        if revert is None:
            other = "invalid opcode" in str(error).lower()
            return self.wrong_contract(read.contract, read.address) if other else error
        if not revert.words and not await self._is_kind(read, block):
            return self.wrong_contract(read.contract, read.address)
        facts: dict[str, Any] = {"address": read.address, "expected": read.contract, **revert.arguments}
        if revert.panic is not None:
            facts["panic"] = revert.panic
        words = revert.words or "no reason given; there may be nothing at that place"
        return ContractReverted(
            f"{read.contract}.{read.function} failed: {words}.",
            reason=revert.words,
            data=revert.data,
            facts=facts,
        )

    async def _is_kind(self, read: Read, block: str) -> bool:
        """Whether a contract that refused a call for an argument, in silence, is of the kind asked for."""
        if not read.arguments or read.contract not in PROBES:
            return False
        probe = Read(read.contract, read.address, PROBES[read.contract])
        (answer,) = await self.rpc.batch([probe.request(block)])
        try:
            probe.result(raised(answer))
        except (RPCFailed, RPCInvalidResponse):
            return False
        return True

    def contract_missing(self, expected: str, address: str) -> ContractMissing:
        """That there is no contract at an address."""
        return ContractMissing(
            f"There is no contract at {address} on {self.network.name}; a {expected} was expected.",
            hint="Check the address and the network.",
            facts={"address": address, "expected": expected},
        )

    def wrong_contract(self, expected: str, address: str) -> WrongContract:
        """That the contract at an address is not of the kind that is needed."""
        return WrongContract(
            f"The contract at {address} on {self.network.name} is no {expected}.",
            hint="Check the address.",
            facts={"address": address, "expected": expected},
        )

    async def head(self) -> Block:
        """The latest block."""
        block = mapping(await self.rpc.call("eth_getBlockByNumber", "latest", False))
        return Block(
            quantity(block.get("number")), hash_of(block.get("hash")), quantity(block.get("timestamp"))
        )

    async def time_after(self, block: Block) -> int:
        """The Unix time that a call would be mined at now, as the node has it.

        An idle local chain's last block is old. A node that has no pending block mines blocks all the time.
        """
        try:
            pending = await self.rpc.call("eth_getBlockByNumber", "pending", False)
        except RPCFailed:
            pending = None
        told = 0 if pending is None else quantity(mapping(pending).get("timestamp"))
        return max(block.timestamp, told)

    async def logs(
        self, contract: str, events: Sequence[str], first: int, last: int, *, address: str | None = None
    ) -> list[dict[str, Any]]:
        """The raw logs of some events of a contract, both blocks included.

        Of the network's own by default.
        """
        topics = [interface(contract).events[event].topic for event in events]
        query = {
            "address": address or self.network.contract(contract.upper()),
            "topics": [topics],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        try:
            answer = await self.rpc.call("eth_getLogs", query)
        except RPCFailed:  # each node has its own limits on blocks and logs, and its own words for them
            if first >= last:
                raise
            middle = (first + last) // 2
            earlier = await self.logs(contract, events, first, middle, address=address)
            return earlier + await self.logs(contract, events, middle + 1, last, address=address)
        if not isinstance(answer, list):
            raise RPCInvalidResponse("The node answered eth_getLogs with something else than a list.")
        return answer


class View:
    """The contracts as they were at one block."""

    def __init__(self, chain: Contracts, block: Block) -> None:
        self.chain = chain
        self.block = block

    async def read(self, *reads: Read) -> list[Any]:
        """The decoded results of view calls, in order; `Reorganised` when the block is there no more."""
        return await self.chain.read_at(reads, self.block) if reads else []

    async def read_each(self, subjects: Sequence[Sequence[Read]]) -> list[list[Any]]:
        """The results of several groups of view calls, a list a group."""
        values = iter(await self.read(*(read for reads in subjects for read in reads)))
        return [[next(values) for _ in reads] for reads in subjects]
