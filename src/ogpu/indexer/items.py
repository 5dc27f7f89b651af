"""What events do not carry, read from the contracts: a pure plan of calls, and the batches that make them.

Each item is read at the block of its event, so that what the index holds does not depend on how blocks are
grouped, and a block that is dropped later leaves nothing behind. Where a node lacks the state of a block,
having pruned it or been started again, its newest state is read: it comes to the same in the end, since what
changed meanwhile has events of its own, at which it is read again. What blocks that may be dropped have
touched may have been read so, on a chain that is gone: after a rollback it is read again (`Doubtful`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ogpu.errors import NodeBehind, Reorganised, RPCFailed
from ogpu.indexer.happenings import Happening, SourceTerms, plain, stored_text
from ogpu.networks import Network
from ogpu.rpc.blocks import header_of
from ogpu.rpc.codec import interface
from ogpu.rpc.steps import Block, Cursor
from ogpu.rpc.transport import RPC, Request, quantity, raised
from ogpu.types import TaskStatus

logger = logging.getLogger(__name__)

_FIGURES = ("balanceOf", "lockupOf", "unbondingOf", "unbondingTimestamp", "sanctionOf", "totalEarningsOf")
_SAID = {"BaseDataUpdated": "baseDataOf", "LiveDataUpdated": "liveDataOf"}  # what events of data do not carry


class Call(NamedTuple):
    """A view call; `block` is the number of the block at whose end it is made."""

    contract: str
    address: str
    function: str
    arguments: tuple[str, ...]
    block: int


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """A task as it was published: `expiry_time` in Unix seconds, `payment` in wei."""

    client: str
    config_url: str
    expiry_time: int
    payment: int
    delivery_method: int


@dataclass(frozen=True, slots=True)
class ResponseTerms:
    """A response: `payment` is what it asks, in wei."""

    task: str
    provider: str
    data: str
    payment: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the Vault holds for an account, in wei; `unbonding_matures` in Unix seconds."""

    balance: int
    lockup: int
    unbonding: int
    unbonding_matures: int
    sanctioned: int
    earned: int


@dataclass
class Facts:
    """What was read for a batch."""

    sources: dict[str, SourceTerms] = field(default_factory=dict)
    tasks: dict[str, TaskTerms] = field(default_factory=dict)
    responses: dict[str, ResponseTerms] = field(default_factory=dict)
    owners: dict[tuple[str, int], str] = field(default_factory=dict)  # of tasks, at a block
    data: dict[tuple[str, str, int], str] = field(default_factory=dict)  # event, provider, block
    accounts: dict[tuple[str, int], Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubtful:
    """What may have been read on a chain that is gone, with the blocks whose end it should be as at.

    `data`: by event and provider. `first`: where the index begins; a node that has its state has them all.
    """

    accounts: Mapping[str, int]
    sources: Mapping[str, int]
    data: Mapping[tuple[str, str], int]
    first: int


def settles(happening: Happening) -> bool:
    """Whether a task ends here."""
    return happening.kind == "TaskStatusChanged" and happening.status >= TaskStatus.CANCELED


def concerned(happening: Happening, facts: Facts) -> list[str]:
    """The accounts whose figures in the Vault an event may have changed."""
    if happening.contract == "Vault":
        return [happening.account]
    match happening.kind:
        case "SourcePublished":
            return [facts.sources[happening.source].client]
        case "TaskPublished":
            return [facts.tasks[happening.task].client]
        case "ResponseStatusChanged":  # its payment comes in the same transaction
            return [facts.responses[happening.response].provider]
    return [facts.owners[happening.task, happening.block]] if settles(happening) else []


def item_calls(happenings: Iterable[Happening], network: Network) -> list[Call]:
    """The calls for new items, each once."""
    calls: dict[Call, None] = {}
    read: set[str] = set()
    for happening in happenings:
        for call in _calls_for(happening, read, network.contracts["TERMINAL"]):
            calls[call] = None
    return list(calls)


def _calls_for(happening: Happening, read: set[str], terminal: str) -> Iterable[Call]:
    block = happening.block
    match happening.kind:
        case "SourcePublished":
            yield Call("Source", happening.source, "getSourceParams", (), block)
        case "TaskPublished":
            for function in ("taskParams", "owner", "getDeliveryMethod"):
                yield Call("Task", happening.task, function, (), block)
        case "TaskStatusChanged" if settles(happening):
            yield Call("Task", happening.task, "owner", (), block)
        case "ResponseSubmitted" | "ResponseStatusChanged" if happening.response not in read:
            read.add(happening.response)  # its terms stay as they are
            yield Call("Response", happening.response, "getResponseParams", (), block)
        case "BaseDataUpdated" | "LiveDataUpdated":
            yield Call("Terminal", terminal, _SAID[happening.kind], (happening.provider,), block)


def doubtful_calls(doubtful: Doubtful, network: Network) -> list[Call]:
    """The calls for what is in doubt."""
    terminal, vault = network.contracts["TERMINAL"], network.contracts["VAULT"]
    return [
        *(Call("Source", one, "getSourceParams", (), block) for one, block in doubtful.sources.items()),
        *(
            Call("Terminal", terminal, _SAID[kind], (provider,), block)
            for (kind, provider), block in doubtful.data.items()
        ),
        *(
            Call("Vault", vault, name, (account,), block)
            for account, block in doubtful.accounts.items()
            for name in _FIGURES
        ),
    ]


def take_items(facts: Facts, values: Mapping[Call, Any]) -> None:
    """Note what the calls for items brought."""
    for call, value in values.items():
        match call.function:
            case "getSourceParams":
                facts.sources[call.address] = plain(value)
            case "taskParams":
                _, config, expiry, payment = value
                owner, delivery = (
                    values[call._replace(function=function)] for function in ("owner", "getDeliveryMethod")
                )
                terms = TaskTerms(owner, stored_text(config), expiry, payment, delivery)
                facts.tasks[call.address] = terms
            case "owner":
                facts.owners[call.address, call.block] = value
            case "getResponseParams":
                task, provider, data, payment = value
                facts.responses[call.address] = ResponseTerms(task, provider, stored_text(data), payment)
            case "baseDataOf":
                facts.data["BaseDataUpdated", call.arguments[0], call.block] = stored_text(value)
            case "liveDataOf":
                facts.data["LiveDataUpdated", call.arguments[0], call.block] = stored_text(value)


def account_calls(happenings: Iterable[Happening], facts: Facts, vault: str, final: int) -> list[Call]:
    """The calls for accounts: at each block that may still be dropped, and at the last one that may not."""
    touched: dict[tuple[str, int], None] = {}
    last_final: dict[str, int] = {}
    for happening in happenings:
        for account in concerned(happening, facts):
            if happening.block <= final:
                last_final[account] = happening.block
            else:
                touched[account, happening.block] = None
    wanted = [*last_final.items(), *touched]
    return [Call("Vault", vault, name, (account,), block) for account, block in wanted for name in _FIGURES]


def take_accounts(facts: Facts, values: Mapping[Call, Any]) -> None:
    """Note what the calls for accounts brought."""
    for call in values:
        if call.function == _FIGURES[0]:
            numbers = (values[call._replace(function=name)] for name in _FIGURES)
            facts.accounts[call.arguments[0], call.block] = Figures(*numbers)


class Reader:
    """What reads the facts of batches from one chain."""

    def __init__(self, rpc: RPC, network: Network) -> None:
        self._rpc = rpc
        self._network = network
        self._lacking = -1  # the newest block whose state the node was found to lack

    async def facts(self, happenings: Sequence[Happening], last: Block, final: int) -> Facts:
        """What the events of blocks up to `last` do not carry; `Reorganised` when that one was dropped."""
        facts, at, open_ = Facts(), last.cursor, last.number > final
        if not happenings:
            return facts
        take_items(facts, await self._values(item_calls(happenings, self._network), at, open_=open_))
        calls = account_calls(happenings, facts, self._network.contracts["VAULT"], final)
        take_accounts(facts, await self._values(calls, at, open_=open_))
        return facts

    async def again(self, doubtful: Doubtful, at: Cursor) -> Facts:
        """What is doubtful after a rollback to a block; `Reorganised` when that one was dropped as well.

        Nothing is, where the node has all states: then all was read at its own block.
        """
        facts, calls = Facts(), doubtful_calls(doubtful, self._network)
        if not calls or not (self._lacking >= 0 or await self._finds_lacking([doubtful.first])):
            return facts
        values = await self._values(calls, at, open_=True)
        take_items(facts, values)
        take_accounts(facts, values)
        return facts

    async def _values(self, calls: Sequence[Call], at: Cursor, *, open_: bool) -> dict[Call, Any]:
        """The results, decoded; of a block that may be dropped, each batch shows that its node has it."""
        size = max(1, self._rpc.batch_size - 1 if open_ else len(calls))
        answers: list[Any] = []
        for start in range(0, len(calls), size):
            answers += await self._ask(calls[start : start + size], at)
        return {
            call: interface(call.contract).functions[call.function].decode(answer)
            for call, answer in zip(calls, answers, strict=True)
        }

    async def _ask(self, calls: Sequence[Call], at: Cursor) -> list[Any]:
        """The answers of a node that has a block on its chain, which comes in the same batch."""
        requests: list[Request] = [self._request(call) for call in calls]
        try:
            *answers, header = await self._rpc.batch(
                [*requests, ("eth_getBlockByNumber", [hex(at.number), False])]
            )
        except NodeBehind:  # which is also what a missing state looks like
            if not await self._finds_lacking([call.block for call in calls]):
                raise
            return await self._ask(calls, at)
        if raised(header) is None or header_of(header, at.number).hash != at.hash:
            raise Reorganised(f"Block {at.number} was dropped while the index read what belongs to it.")
        failure = next((answer for answer in answers if isinstance(answer, RPCFailed)), None)
        if failure is None:
            return answers
        if not await self._finds_lacking([call.block for call in calls]):
            raise failure
        return await self._ask(calls, at)

    async def _finds_lacking(self, asked: Sequence[int]) -> bool:
        """Whether the node has no state of some of the blocks, which are read otherwise from now on."""
        blocks = [block for block in asked if block > self._lacking]
        if not blocks or await self._has_state(min(blocks)):
            return False
        # Up to the head, and not only among these blocks, so that no batch has to find it out again.
        lacking, having = min(blocks), quantity(await self._rpc.call("eth_blockNumber"))
        while having - lacking > 1:
            middle = (lacking + having) // 2
            if await self._has_state(middle):
                having = middle
            else:
                lacking = middle
        self._lacking = lacking
        logger.warning("the node lacks the state up to block %d: its newest is read instead", lacking)
        return True

    async def _has_state(self, block: int) -> bool:
        """False when the node has a block, but not its state."""
        if await self._rpc.call("eth_getBlockByNumber", hex(block), False) is None:
            return True  # it was dropped, and that is another matter
        try:
            await self._rpc.call("eth_getCode", self._network.contracts["NEXUS"], hex(block))
        except (NodeBehind, RPCFailed):
            return False
        return True

    def _request(self, call: Call) -> tuple[str, list[Any]]:
        function = interface(call.contract).functions[call.function]
        block = "latest" if call.block <= self._lacking else hex(call.block)
        return "eth_call", [{"to": call.address, "data": function.encode(*call.arguments)}, block]
