"""JSON-RPC over HTTP to the nodes of one chain: reads fail over and do not go backwards, sends go to all."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from ogpu.errors import (
    NetworkError,
    NodeBehind,
    RPCFailed,
    RPCRateLimited,
    RPCUnreachable,
    WrongChain,
)
from ogpu.networks import redact
from ogpu.rpc.answers import Request, SendAnswer, at_head, hash_of, heads, mapping, quantity, raised
from ogpu.rpc.heads import HEAD_PATIENCE, Heads
from ogpu.rpc.node import Node, Wire
from ogpu.rpc.sizes import Sizes

__all__ = [
    "BATCH_SIZE",
    "RPC",
    "Request",
    "SendAnswer",
    "hash_of",
    "mapping",
    "quantity",
    "raised",
    "together",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_SIZE = 100  # sends; a limit that public nodes commonly have. Reads get what the node takes (`sizes`)
IN_FLIGHT = 4  # batches of one call that are on their way at the same time
READ_ROUNDS = 3
RATE_ROUNDS = 5  # of reads, while nodes ask to slow down
FIRST_PAUSE = 0.2  # seconds before the second round of reads; doubles
LONGEST_PAUSE = 1.0
LONGEST_RETRY_AFTER = 10.0  # seconds that are waited when a node asks for them
SEND_GRACE = 2.0  # seconds for the other nodes to answer a send too, once one has


class RPC:
    """A connection to the nodes of one chain. Reads fail over and are repeated; sends are not."""

    def __init__(self, urls: Sequence[str], chain_id: int, *, timeout: float = 30) -> None:
        self._wire = Wire(timeout)
        self._nodes = [Node(url, chain_id, self._wire) for url in urls]
        self._heads = Heads()
        self._genesis: str | None = None

    async def close(self) -> None:
        """Close the connections; calls after it raise `ClientClosed`."""
        await self._wire.close()

    async def call(self, method: str, *params: Any) -> Any:
        """One read; an error of the node is raised as `RPCFailed`."""
        (answer,) = await self.batch([(method, params)])
        return raised(answer)

    async def batch(self, requests: Sequence[Request], turn: int = 0) -> list[Any]:
        """Many reads in order; a single one that fails is an `RPCFailed` in its place.

        The nodes are asked in their order, or beginning at another one with a `turn`.
        """
        if not requests:
            return []
        if len(requests) <= self._sizes().now:
            return await self._read(requests, turn)
        answers: list[Any] = [None] * len(requests)
        parts = self._parts(len(requests))

        async def serve(some: Iterator[slice]) -> None:
            for part in some:
                answers[part] = await self._read(requests[part], turn)

        if not self._sizes().known:
            await serve(itertools.islice(parts, 1))  # alone: a size that is refused is refused once
        await together([serve(parts) for _ in range(IN_FLIGHT)])
        return answers

    @property
    def batch_size(self) -> int:
        """How many reads go into one batch now."""
        return self._sizes().now

    def _parts(self, count: int) -> Iterator[slice]:
        """Reads in parts of the size that the first node takes at the time when each is sent."""
        start = 0
        while start < count:
            part = slice(start, min(count, start + self._sizes().now))
            start = part.stop
            yield part

    def _sizes(self) -> Sizes:
        return self._left()[0].sizes

    @property
    def highest(self) -> int:
        """The newest block that any read has told of; 0 before one has."""
        return self._heads.highest

    def forget(self) -> None:
        """Take the chain as it is from now on; for developers who wound theirs back."""
        self._heads = Heads()

    def expect(self, number: int) -> None:
        """Take it that a block was seen: a head older than it is not believed at once."""
        self._heads.believes([number], number)

    async def genesis(self) -> str:
        """The hash of block 0, which tells chains of the same id apart; asked once."""
        if self._genesis is None:
            self._genesis = hash_of(
                mapping(await self.call("eth_getBlockByNumber", "0x0", False)).get("hash")
            )
        return self._genesis

    async def broadcast(self, transactions: Sequence[bytes]) -> list[list[SendAnswer]]:
        """Offer signed bytes to all nodes at once; for each transaction, what each node answered.

        That is the hash, the node's error, or a `NetworkError` when it gave no answer, or none yet: once one
        node has answered, the others have `SEND_GRACE` seconds, and their requests then go on by themselves.
        Each node gets the transactions in their order. Nodes of another chain have no answer in it.
        """
        self._wire.check_open()
        offers = [_Offer(node, transactions) for node in self._left()]
        await self._first_answers([self._wire.start(offer.run()) for offer in offers])
        self._wire.check_open()
        left = self._left()
        columns = [list(offer.answers) for offer in offers if offer.node in left]
        return [list(answers) for answers in zip(*columns, strict=True)]

    async def _first_answers(self, tasks: Sequence[asyncio.Task[bool]]) -> None:
        """Wait until all are done, or until the others' time is over once one was answered."""
        now = asyncio.get_running_loop().time
        end: float | None = None
        pending = set(tasks)
        while pending and (end is None or now() < end):
            done, pending = await asyncio.wait(
                pending, timeout=end and end - now(), return_when=asyncio.FIRST_COMPLETED
            )
            if end is None and any(not task.cancelled() and task.result() for task in done):
                end = now() + SEND_GRACE

    def _left(self) -> list[Node]:
        """The nodes that are not thrown out; raises `WrongChain` when none is left."""
        left = [node for node in self._nodes if node.thrown_out is None]
        if not left:
            error = self._nodes[0].thrown_out
            assert error is not None
            raise WrongChain(error.message, hint=error.hint, facts=error.facts)
        return left

    async def _read(self, requests: Sequence[Request], turn: int) -> list[Any]:
        """Ask the nodes in turn, in rounds; a head that went back is waited for until all nodes insist."""
        now = asyncio.get_running_loop().time
        started, pause, rounds = now(), FIRST_PAUSE, 1
        while True:
            older: list[tuple[int, list[Any]]] = []
            failure: NetworkError | None = None
            wishes: list[float] = []
            nodes = self._left()
            for node in _turned(nodes, turn):
                try:
                    return await self._read_from(node, requests, older)
                except NetworkError as error:
                    if not error.retryable and not isinstance(error, WrongChain):
                        raise
                    failure = error
                    wishes.append(error.facts.get("retry_after") or pause)
                    logger.info("read failed, trying again: %s", error)
            self._left()  # raises when the last one was thrown out
            if all_older := len(older) == len(nodes):
                newest, answers = max(older, key=lambda found: found[0])
                if self._heads.insisted(newest, now()):
                    return answers
            assert failure is not None
            most = RATE_ROUNDS if isinstance(failure, RPCRateLimited) else READ_ROUNDS
            patient = all_older and now() - started < 2 * HEAD_PATIENCE
            if (rounds >= most and not patient) or min(wishes) > LONGEST_RETRY_AFTER:
                raise failure
            await asyncio.sleep(max(pause, min(wishes)))
            pause, rounds = min(2 * pause, LONGEST_PAUSE), rounds + 1

    async def _read_from(
        self, node: Node, requests: Sequence[Request], older: list[tuple[int, list[Any]]]
    ) -> list[Any]:
        """One node's answers; those with an older head than one seen are put aside."""
        floor = self._heads.highest
        answers = at_head(await node.ask(requests), node.url)
        told = heads(requests, answers)
        if not self._heads.believes(told, floor):
            older.append((min(told), answers))
            raise NodeBehind(f"{redact(node.url)} is at block {min(told)}, and block {floor} was seen.")
        return answers


def _turned(nodes: Sequence[Node], turn: int) -> list[Node]:
    """The nodes, beginning at another one."""
    first = turn % len(nodes)
    return [*nodes[first:], *nodes[:first]]


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at the same time; the first failure ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Offer:
    """Transactions on their way to one node; what is not answered yet counts as no answer."""

    def __init__(self, node: Node, transactions: Sequence[bytes]) -> None:
        self.node = node
        waiting = RPCUnreachable(f"{redact(node.url)} has not answered yet.")
        self.answers: list[SendAnswer] = [waiting] * len(transactions)
        self._requests = [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in transactions]

    async def run(self) -> bool:
        """Offer them batch by batch; whether the node answered any."""
        for start in range(0, len(self._requests), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            self.answers[part] = await self.node.offer(self._requests[part])
        return any(isinstance(answer, str | RPCFailed) for answer in self.answers)
