"""Whether an index says what the chain says: every table beside the chain's views, logs and headers.

What views and logs prove is compared with them; what the index adds up is compared with what was proven.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ogpu.errors import NodeBehind, NotFound, RPCFailed, StateMissing
from ogpu.indexer.checking.findings import Difference, Finding, Note
from ogpu.indexer.checking.items import check_sources, check_tasks
from ogpu.indexer.checking.log import check_blocks, check_events
from ogpu.indexer.checking.names import check_names
from ogpu.indexer.checking.people import check_people
from ogpu.indexer.checking.sums import check_happened, check_sums
from ogpu.indexer.checking.views import Chain
from ogpu.indexer.tables import cursor
from ogpu.networks import Network
from ogpu.rpc.blocks import header_of
from ogpu.rpc.transport import RPC

__all__ = ["Difference", "Finding", "Note", "Where", "check", "where_to_check"]


@dataclass(frozen=True, slots=True)
class Where:
    """The block that the index is at, and the one whose state it is compared with."""

    index: int
    hash: str
    block: int


async def where_to_check(connection: Connection, rpc: RPC, network: Network, *, at_head: bool) -> Where:
    """The place of a check; `StateMissing` when the node has no state of it any more."""
    row = connection.execute(select(cursor)).mappings().first()
    if row is None or row["number"] < 0:
        raise NotFound("The index is empty.", hint="`ogpu index` fills it.")
    head = header_of(await rpc.call("eth_getBlockByNumber", "latest", False))
    where = Where(row["number"], row["hash"], head.number if at_head else row["number"])
    try:
        await rpc.call("eth_getCode", network.contract("NEXUS"), hex(where.block))
    except (NodeBehind, RPCFailed) as error:
        raise StateMissing(
            f"The node has no state of block {where.block}, where the index is.",
            hint="Compare with the chain's head, or name a node that keeps old states.",
            facts={"block": where.block, "head": head.number},
        ) from error
    return where


async def check(connection: Connection, rpc: RPC, network: Network, where: Where) -> AsyncIterator[Finding]:
    """Every difference. The connection is within a transaction that sees one state, and only reads."""
    chain = Chain(rpc, network, where.block)
    header = header_of(await rpc.call("eth_getBlockByNumber", hex(where.index), False), where.index)
    if header.hash != where.hash:
        yield Difference("cursor", (1,), "hash", where.hash, header.hash)
    for compared in (check_blocks, check_events, check_sources, check_tasks, check_people):
        async for finding in compared(connection, chain):
            yield finding
    for derived in (check_names, check_happened, check_sums):
        for found in derived(connection):
            yield found
