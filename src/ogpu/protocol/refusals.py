"""A call that a contract refused, and the chain as it was at the failing block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ogpu.errors import ContractReverted, OGPUError, RPCInvalidResponse
from ogpu.protocol.views import PROBES, Contracts, Read
from ogpu.rpc.codec import ZERO_ADDRESS, interface
from ogpu.rpc.transport import mapping, quantity

if TYPE_CHECKING:
    from ogpu.tx.state import Call

# The argument of a function that is an item, and of which kind: nothing can be done with what is not there.
SUBJECTS: Mapping[str, tuple[str, str]] = {
    "updateSource": ("Source", "source"),
    "inactivateSource": ("Source", "source"),
    "register": ("Source", "source"),
    "unregister": ("Source", "source"),
    "publishTask": ("Source", "source"),
    "attempt": ("Task", "task"),
    "submitResponse": ("Task", "task"),
    "cancelTask": ("Task", "task"),
    "forceReleasePayment": ("Task", "task"),
    "confirmResponse": ("Response", "response"),
}


class Told(NamedTuple):
    """What explains a refusal; all of it may be missing."""

    words: str = ""
    hint: str = ""
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Case:
    """A refused call, and the chain as it was at a block."""

    chain: Contracts
    contract: str
    address: str
    function: str
    sender: str
    block: int
    arguments: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, chain: Contracts, call: Call, sender: str, error: ContractReverted) -> Case:
        """The case of a call that ended with an error of the transaction engine."""
        contract, _, name = call.label.partition(".")
        function = interface(contract).functions[name]
        arguments: dict[str, Any] = {}
        for entry, value in zip(function.inputs, function.arguments(call.data), strict=True):
            if entry["type"] == "tuple":  # a struct's fields count as arguments
                arguments |= {part["name"]: one for part, one in zip(entry["components"], value, strict=True)}
            else:
                arguments[entry["name"].lstrip("_")] = value
        return cls(chain, contract, call.to, name, sender, int(error.facts["block"]), arguments)

    def core(self, contract: str, function: str, *arguments: Any) -> Read:
        """A view call of one of the network's own contracts."""
        return self.chain.core(contract, function, *arguments)

    def target(self, function: str) -> Read:
        """A view call of the contract that refused."""
        return self.chain.item(self.contract, self.address, function)

    def item(self, function: str, *arguments: Any) -> Read:
        """A view call of the item that the call is about."""
        kind, name = SUBJECTS[self.function]
        return self.chain.item(kind, self.arguments[name], function, *arguments)

    async def known(self, **reads: Read) -> dict[str, Any]:
        """What these calls gave at the block, by their names, and the block's time as `now`."""
        at = hex(self.block)
        *answers, block = await self.chain.rpc.batch(
            [*(read.request(at) for read in reads.values()), ("eth_getBlockByNumber", [at, False])]
        )
        found: dict[str, Any] = {}
        for (name, read), answer in zip(reads.items(), answers, strict=True):
            if isinstance(answer, str):
                try:
                    found[name] = read.result(answer)
                except RPCInvalidResponse:
                    continue
        if isinstance(block, dict):
            found["now"] = quantity(mapping(block).get("timestamp"))
        return found


async def missing(case: Case, reason: str) -> OGPUError | None:
    """That the item which a call is about is not there, or is something else, when that is why it failed."""
    if case.function not in SUBJECTS or reason not in ("", "SourceInactive", "InvalidStatus"):
        return None
    kind, name = SUBJECTS[case.function]
    address = case.arguments[name]
    if await case.chain.rpc.call("eth_getCode", address, hex(case.block)) in ("0x", "0x0"):
        return case.chain.contract_missing(kind, address)
    reads = {"probe": case.item(PROBES[kind])}
    if kind == "Source":
        reads["number"] = case.core("Nexus", "getSourceId", address)
    found = await case.known(**reads)
    if "probe" not in found or found.get("number") == 0:
        return case.chain.wrong_contract(kind, address)
    return None


def only(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


def master_in(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fact of a provider's master, None when it has none."""
    if "master" not in found:
        return {}
    return {"master": None if found["master"] == ZERO_ADDRESS else found["master"]}
