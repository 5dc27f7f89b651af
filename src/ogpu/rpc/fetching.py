"""Blocks with their logs from the nodes, in ranges that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ogpu.errors import NodeBehind, RPCFailed, RPCInvalidResponse
from ogpu.rpc.answers import mapping, raised
from ogpu.rpc.blocks import Header, header_of, linked, with_logs
from ogpu.rpc.steps import Block
from ogpu.rpc.transport import RPC

MOST_BLOCKS = 1000  # in a range: one batch of headers, some megabytes


class Fetch:
    """How the blocks of one chain are read, with the logs of these addresses."""

    def __init__(self, rpc: RPC, addresses: Sequence[str]) -> None:
        self._rpc = rpc
        self._addresses = frozenset(address.lower() for address in addresses)

    async def head(self) -> Header:
        """The newest block."""
        return header_of(await self._rpc.call("eth_getBlockByNumber", "latest", False))

    async def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """The headers of these blocks; None for a block that the chain has not."""
        answers = await self._rpc.batch([("eth_getBlockByNumber", [hex(n), False]) for n in numbers])
        found = zip(map(raised, answers), numbers, strict=True)
        return [None if answer is None else header_of(answer, number) for answer, number in found]

    async def blocks(self, first: int, last: int) -> tuple[Block, ...]:
        """The blocks of a range, or the first of them."""
        last = min(last, first + MOST_BLOCKS - 1)
        logs = asyncio.ensure_future(self._logs(first, last))
        try:
            headers = [
                self._there(header, number)
                for number, header in enumerate(await self.headers(range(first, last + 1)), first)
            ]
            linked(headers)
            return with_logs(headers, await logs, self._addresses)
        finally:
            logs.cancel()
            await asyncio.gather(logs, return_exceptions=True)

    @staticmethod
    def _there(header: Header | None, number: int) -> Header:
        if header is None:
            raise NodeBehind(f"The node has told of block {number}, and does not give it.", hint="Try again.")
        return header

    async def _logs(self, first: int, last: int) -> list[dict[str, Any]]:
        if not self._addresses:
            return []
        query = {"address": sorted(self._addresses), "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            answer = await self._rpc.call("eth_getLogs", query)
        except RPCFailed:  # each node has its own limits on blocks and logs, and its own words for them
            if first >= last:
                raise
            middle = (first + last) // 2
            return await self._logs(first, middle) + await self._logs(middle + 1, last)
        if not isinstance(answer, list):
            raise RPCInvalidResponse("The node answered eth_getLogs with something else than a list.")
        return [mapping(log) for log in answer]
