"""Reads of a check: the chain's view calls at one block, and pages of the index's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, select, tuple_

from ogpu.errors import RPCFailed, RPCInvalidResponse
from ogpu.networks import Network
from ogpu.rpc.codec import interface
from ogpu.rpc.transport import RPC

PAGE = 500  # rows whose calls go into one batch, or a few


@dataclass(frozen=True, slots=True)
class View:
    """A view call: the kind of contract, its address, the function and its arguments."""

    contract: str
    address: str
    function: str
    arguments: tuple[Any, ...] = ()


class Nothing:
    """The value of a view call that nothing answers: no contract is there, or it refuses."""

    def __repr__(self) -> str:
        return "(nothing)"


NOTHING = Nothing()


class Chain:
    """The chain as it was at a block."""

    def __init__(self, rpc: RPC, network: Network, block: int) -> None:
        self.rpc = rpc
        self.network = network
        self.block = block

    def core(self, contract: str, function: str, *arguments: Any) -> View:
        """A view call of one of the network's own contracts, such as "Vault"."""
        return View(contract, self.network.contract(contract.upper()), function, arguments)

    async def read(self, views: Sequence[View]) -> list[Any]:
        """The values in order; `NOTHING` for one that cannot be had."""
        at = hex(self.block)
        answers = await self.rpc.batch([("eth_call", [_call(view), at]) for view in views])
        return [_value(view, answer) for view, answer in zip(views, answers, strict=True)]

    async def read_each(self, groups: Sequence[Sequence[View]]) -> list[list[Any]]:
        """The values of several groups of calls, a list a group."""
        values = iter(await self.read([view for views in groups for view in views]))
        return [[next(values) for _ in views] for views in groups]


def _call(view: View) -> dict[str, str]:
    data = interface(view.contract).functions[view.function].encode(*view.arguments)
    return {"to": view.address, "data": data}


def _value(view: View, answer: Any) -> Any:
    if isinstance(answer, RPCFailed):
        return NOTHING
    try:
        return interface(view.contract).functions[view.function].decode(answer)
    except RPCInvalidResponse:
        return NOTHING


def pages(connection: Connection, table: Table, size: int = PAGE) -> Iterator[list[dict[str, Any]]]:
    """All rows of a table by its key, so many at a time."""
    keys = list(table.primary_key)
    statement = select(table).order_by(*keys).limit(size)
    yield from _pages(connection, statement, keys, size)


def _pages(
    connection: Connection, statement: Select[Any], keys: Sequence[Any], size: int
) -> Iterator[list[dict[str, Any]]]:
    page = [dict(row) for row in connection.execute(statement).mappings()]
    while page:
        yield page
        if len(page) < size:
            return
        last = tuple(page[-1][key.name] for key in keys)
        later = statement.where(tuple_(*keys) > tuple_(*last))
        page = [dict(row) for row in connection.execute(later).mappings()]


def rows_of(connection: Connection, table: Table, column: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows whose column has one of these values."""
    found = connection.execute(select(table).where(table.c[column].in_(list(values))))
    return [dict(row) for row in found.mappings()]
