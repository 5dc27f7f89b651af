"""Blocks with their logs from the nodes, in ranges that they serve, or again when in doubt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ogpu.errors import NetworkError, NodeBehind, RPCAnswerTooLarge, RPCFailed, RPCInvalidResponse
from ogpu.rpc.answers import NO_METHOD, Request, raised, too_large
from ogpu.rpc.blocks import Header, header_of, is_doubtful, is_unlikely, linked, may_have_logs, with_logs
from ogpu.rpc.bloom import bits_of_hex
from ogpu.rpc.spans import ENOUGH_LOGS, MOST_BLOCKS, Span
from ogpu.rpc.steps import Block
from ogpu.rpc.transport import RPC, together

logger = logging.getLogger(__name__)

IN_FLIGHT = 4  # parts of a range whose logs are asked for at the same time
MOST_LOGS = 2 * ENOUGH_LOGS  # at once; the range ends before more, unless they are of one answer
# Seconds before each time that a block's logs are asked for by its hash. Nodes write logs down a little later
# than blocks, so that few asks too soon prove nothing.
PAUSES = (0.0, 0.2, 0.5, 1.0)


class Fetch:
    """How the blocks of one chain are read, with the logs of these addresses."""

    def __init__(self, rpc: RPC, addresses: Sequence[str]) -> None:
        self._rpc = rpc
        self._bits = {address.lower(): bits_of_hex(address.lower()) for address in addresses}
        self._span = Span(now=1)  # the first answers say how full blocks are
        self._most = (
            MOST_BLOCKS  # of a range: twice as many as came last time, so that few headers are in vain
        )
        self._by_hash = True  # whether nodes give logs by a block's hash (EIP-234)
        self._turn = 0

    def ask_another(self) -> None:
        """Begin at the next node from now on: this one's answers do not fit."""
        self._turn += 1

    async def head(self) -> Header:
        """The newest block."""
        return header_of(await self._call("eth_getBlockByNumber", "latest", False))

    async def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """The headers of these blocks; None for a block that the chain has not."""
        requests: list[Request] = [("eth_getBlockByNumber", [hex(n), False]) for n in numbers]
        found = zip(map(raised, await self._rpc.batch(requests, self._turn)), numbers, strict=True)
        return [None if answer is None else header_of(answer, number) for answer, number in found]

    async def block(self, header: Header) -> Block:
        """The block of a header that is there already."""
        (logs,) = await self._logs_by_hash([header], self._turn)
        return (await self._certain([header], with_logs([header], logs, self._bits)))[0]

    @property
    def reach(self) -> int:
        """The most blocks that a range has now."""
        return min(MOST_BLOCKS, IN_FLIGHT * self._span.now, self._most)

    async def blocks(self, first: int, last: int) -> list[Block]:
        """The blocks of a range, or the first of them when it is large or has many logs."""
        numbers = range(first, min(last, first + self.reach - 1) + 1)
        headers = list(map(told, await self.headers(numbers), numbers))
        linked(headers)
        logs, count = await self._logs(headers)
        headers = headers[:count]
        self._most = 2 * max(IN_FLIGHT, count)
        return await self._certain(headers, with_logs(headers, logs, self._bits))

    async def _certain(self, headers: Sequence[Header], blocks: list[Block]) -> list[Block]:
        """The same, where logs seem to be missing asked for by the block's hash, and so of other nodes."""
        if not self._bits:
            return blocks
        open_ = [at for at, header in enumerate(headers) if is_doubtful(header, blocks[at], self._bits)]
        for times, pause in enumerate(PAUSES, 1):
            if not open_:
                break
            await asyncio.sleep(pause)
            asked = [headers[at] for at in open_]
            answers = await self._logs_by_hash(asked, self._turn + times)
            for at, logs in zip(open_, answers, strict=True):
                (blocks[at],) = with_logs([headers[at]], logs, self._bits)
            open_ = [
                at
                for at in open_
                if is_unlikely(headers[at]) and is_doubtful(headers[at], blocks[at], self._bits)
            ]
        for at in open_:
            logger.warning(
                "block %d: its bloom names a contract of which no node has a log; asked for %d times, that "
                "is taken for chance",
                blocks[at].number,
                len(PAUSES),
            )
        return blocks

    async def _logs(self, headers: Sequence[Header]) -> tuple[list[Any], int]:
        """The logs of the first of these blocks, and of how many they are: of all, unless there are many."""
        found: list[Any] = []
        maybe = [may_have_logs(header, self._bits) for header in headers]
        done = 0
        while done < len(headers) and self._bits:
            parts = self._parts(maybe, done)
            answers = await together([self._part(headers[part], maybe[part]) for part in parts])
            for part, logs in zip(parts, answers, strict=True):
                if logs is None:
                    break
                if found and len(found) + len(logs) > MOST_LOGS:
                    return found, done
                found += logs
                done = part.stop
            if len(found) > ENOUGH_LOGS:
                return found, done
        return found, len(headers)

    def _parts(self, maybe: Sequence[bool], start: int) -> list[slice]:
        """What to ask for at the same time, of the blocks from `start` on."""
        parts: list[slice] = []
        while start < len(maybe) and len(parts) < IN_FLIGHT:
            end = start + self._span.part(maybe[start:])
            parts.append(slice(start, end))
            start = end
        return parts

    async def _part(self, headers: Sequence[Header], maybe: Sequence[bool]) -> list[Any] | None:
        """The logs of a part of a range; None when the node does not serve as large a one."""
        first, last, count = headers[0].number, headers[-1].number, len(headers)
        query = {"address": list(self._bits), "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            logs = _list(await self._call("eth_getLogs", query))
        except (
            RPCFailed
        ) as error:  # each node has its own limits on blocks and logs, and its own words for them
            self._span.refused(count, error.rpc_message)
            if count > 1 and error.code != NO_METHOD:
                logger.info("the logs of %d blocks were refused: %s", count, error.message)
                return None
            raise _over_limit(error, first) from error
        except NetworkError:  # it may be that the node's time was over
            self._span.refused(count)
            raise
        self._span.served(count, len(logs), sum(maybe))
        return logs

    async def _logs_by_hash(self, headers: Sequence[Header], turn: int) -> list[list[Any]]:
        """The logs of single blocks, which cannot be those of others in their place."""
        if not self._bits:
            return [[] for _ in headers]
        answers: list[Any] = []
        if self._by_hash:
            addresses = list(self._bits)
            queries = [{"address": addresses, "blockHash": header.hash} for header in headers]
            answers = await self._rpc.batch([("eth_getLogs", [query]) for query in queries], turn)
        failed = [one for one in answers if isinstance(one, RPCFailed)]
        if self._by_hash and not failed:
            return [_list(answer) for answer in answers]
        ranges = [
            {"address": list(self._bits), "fromBlock": hex(h.number), "toBlock": hex(h.number)}
            for h in headers
        ]
        answers = await self._rpc.batch([("eth_getLogs", [query]) for query in ranges], turn)
        for header, answer in zip(headers, answers, strict=True):
            if isinstance(answer, RPCFailed):
                raise _over_limit(answer, header.number)
        self._by_hash = False  # it failed, and ranges do not
        return [_list(answer) for answer in answers]

    async def _call(self, method: str, *params: Any) -> Any:
        (answer,) = await self._rpc.batch([(method, params)], self._turn)
        return raised(answer)


def told(header: Header | None, number: int) -> Header:
    """The header of a block that a node has told of; raises `NodeBehind` when it has none."""
    if header is None:
        raise NodeBehind(f"The node has told of block {number}, and does not give it.", hint="Try again.")
    return header


def _list(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise RPCInvalidResponse("The node answered eth_getLogs with something else than a list.")
    return answer


def _over_limit(error: RPCFailed, block: int) -> RPCFailed:
    """The error of a single block's logs."""
    if not isinstance(error, RPCAnswerTooLarge):
        error.facts["block"] = block
        return error
    found = too_large(
        f"The logs of block {block} alone are over the node's limit.",
        error.facts["limit"],
        error.code,
        error.rpc_message,
    )
    found.hint = "Use the RPC URL of a node that gives more logs at once."
    found.facts["block"] = block
    return found
