"""Blocks, events and the Vault's movements beside the chain's headers and logs; and who events are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, func, select

from ogpu.errors import RPCFailed
from ogpu.indexer.checking.findings import Difference, Finding, compared, extra, key_of, missing
from ogpu.indexer.checking.views import Chain, pages
from ogpu.indexer.happenings import Decoder, Happening, arguments_json, present
from ogpu.indexer.tables import (
    attempts,
    blocks,
    cursor,
    events,
    vault_movements,
)
from ogpu.rpc.blocks import header_of
from ogpu.rpc.contracts import with_manager
from ogpu.rpc.steps import FINALITY, Block
from ogpu.rpc.transport import raised

SPAN = 1000  # blocks whose logs are asked for at once; fewer when the node has a limit

Row = dict[str, Any]


async def check_blocks(connection: Connection, chain: Chain) -> AsyncIterator[Finding]:
    """Every block that is kept, and how many events it has."""
    for page in pages(connection, blocks):
        answers = await chain.rpc.batch(
            [("eth_getBlockByNumber", [hex(row["number"]), False]) for row in page]
        )
        for row, answer in zip(page, answers, strict=True):
            value = raised(answer)
            if value is None:
                yield extra(blocks, row["number"])
                continue
            header = header_of(value, row["number"])
            names = ("hash", "parent_hash", "timestamp")
            for difference in compared(blocks, row, {name: getattr(header, name) for name in names}):
                yield difference
    for number in _lacking(connection):
        yield missing(blocks, number)
    counted = (
        select(events.c.block_number, func.count().label("count")).group_by(events.c.block_number).subquery()
    )
    joined = blocks.outerjoin(counted, blocks.c.number == counted.c.block_number)
    wrong = select(blocks.c.number, blocks.c.event_count, func.coalesce(counted.c.count, 0).label("count"))
    for number, ours, count in connection.execute(
        wrong.select_from(joined).where(blocks.c.event_count != func.coalesce(counted.c.count, 0))
    ):
        yield Difference("blocks", (number,), "event_count", ours, count)


def _lacking(connection: Connection) -> list[int]:
    """The blocks that must be there and are not: those with events, and those that could be dropped."""
    first, last = connection.execute(select(cursor.c.first_block, cursor.c.number)).one()
    kept = set(connection.execute(select(blocks.c.number)).scalars())
    named = set(connection.execute(select(events.c.block_number).distinct()).scalars())
    return sorted((named | set(range(max(first, last - FINALITY + 1), last + 1))) - kept)


async def check_events(connection: Connection, chain: Chain) -> AsyncIterator[Finding]:
    """Every event, as the node's logs have it, and what the Vault moved."""
    first, last = connection.execute(select(cursor.c.first_block, cursor.c.number)).one()
    decoder = Decoder(await with_manager(chain.rpc, chain.network))
    start, span = first, SPAN
    while start <= min(last, chain.block):
        end = min(start + span - 1, last, chain.block)
        query = {"address": decoder.addresses, "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            logs = await chain.rpc.call("eth_getLogs", query)
        except RPCFailed:
            if span == 1:
                raise
            span = max(1, span // 4)
            continue
        for difference in _compared(connection, decoder.of(_blocks(connection, logs)), start, end):
            yield difference
        start = end + 1


def _blocks(connection: Connection, logs: Sequence[Row]) -> list[Block]:
    """The logs by block; a block that the index lacks has no time."""
    by_number: dict[int, list[Row]] = {}
    for log in logs:
        by_number.setdefault(int(log["blockNumber"], 16), []).append(log)
    known: dict[int, int] = {}
    if by_number:
        span = blocks.c.number.between(min(by_number), max(by_number))
        found = connection.execute(select(blocks.c.number, blocks.c.timestamp).where(span))
        known = {row.number: row.timestamp for row in found}
    return [
        Block(number, "", "", known.get(number, -1), tuple(of_block))
        for number, of_block in sorted(by_number.items())
    ]


def _compared(
    connection: Connection, told: Sequence[Happening], start: int, end: int
) -> Iterator[Difference]:
    rows = _rows(connection, events, events.c.block_number, start, end)
    moved = _rows(connection, vault_movements, vault_movements.c.moved_block, start, end)
    tried = _rows(connection, attempts, attempts.c.attempted_block, start, end)
    for happening in told:
        key = (happening.block, happening.index)
        yield from _compared_row(events, rows.pop(key, None), key, _event(happening))
        if happening.contract == "Vault":
            yield from _compared_row(vault_movements, moved.pop(key, None), key, _movement(happening))
        row = tried.get((happening.task, happening.provider)) if happening.kind == "Attempted" else None
        if row is not None:
            yield from compared(attempts, row, {"suggested_payment": happening.suggested_payment})
    yield from (extra(events, *key) for key in rows)
    yield from (extra(vault_movements, *key) for key in moved)


def _rows(
    connection: Connection, table: Table, block: Column[int], start: int, end: int
) -> dict[tuple[Any, ...], Row]:
    found = connection.execute(select(table).where(block.between(start, end))).mappings()
    return {key_of(table, row): row for row in map(dict, found)}


def _compared_row(table: Table, row: Row | None, key: tuple[int, int], told: Row) -> Iterator[Difference]:
    if row is None:
        yield missing(table, *key)
    else:
        yield from compared(table, row, told)


def _event(happening: Happening) -> Row:
    told = {
        "transaction_hash": happening.tx,
        "at": happening.at,
        "contract": happening.contract,
        "kind": happening.kind,
        "arguments": arguments_json(happening),
    }
    arguments = happening.arguments
    items = {name: arguments[name] for name in ("source", "task", "response") if name in arguments}
    return told | items | _who(happening)


def _who(happening: Happening) -> Row:
    """Whom an event is about, as far as it says so itself."""
    told = happening.arguments
    match happening.kind:
        case "ProviderAnnounced":
            return {"account": told["master"], "other": told["provider"]}
        case "MasterAnnounced":
            return {"account": told["provider"], "other": told["master"]}
        case "AgentSet":
            return {"account": told["account"], "other": told["agent"]}
        case "RoleGranted" | "RoleRevoked":
            return {"account": told["account"], "other": told["sender"]}
        case "OwnershipTransferred":
            return {"account": present(told["new_owner"]), "other": present(told["previous_owner"])}
        case "DefaultAgentDisabled":
            return {"account": told["master"], "other": None}
    account = told.get("account", told.get("provider"))
    return {} if account is None else {"account": account}


def _movement(happening: Happening) -> Row:
    return {
        "moved_at": happening.at,
        "moved_tx": happening.tx,
        "account": happening.account,
        "kind": happening.kind,
        "amount": happening.amount,
    }
