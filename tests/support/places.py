"""The requests of a publish: what a client has to do so that each is made, and how a fault meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from ogpu.errors import ContractMissing
from tests.support.cells import RECEIPT, Call, Program
from tests.support.faults import SEND, Fault
from tests.support.invariants import deposit_key
from tests.support.proxy import Order

COUNT, BLOCK, HEAD = "eth_getTransactionCount", "eth_getBlockByNumber", "eth_blockNumber"
NOWHERE = "0x" + "11" * 20


@dataclass(frozen=True)
class Cell:
    """One fault for one program, and the client that is asked; others that it opens go to `urls`."""

    program: Program
    key: str
    fault: Fault
    call: Call
    urls: tuple[str, ...] = ()

    @property
    def amount(self) -> int:
        """Of a deposit, in wei; another one for each fault."""
        return 10**17 + list(Fault).index(self.fault)

    def publish(self) -> Any:
        """The address of the key's task."""
        return self.call("publish_task", self.program.case.task(self.key), idempotency_key=self.key)


@dataclass(frozen=True)
class Work:
    """What a client is asked to do, and how it shows on the chain."""

    do: Callable[[Cell], Any]
    prepare: Callable[[Cell], None] = lambda cell: None
    before_send: Callable[[Cell], None] | None = None
    after_send: Callable[[Cell], None] | None = None
    done: Callable[[Cell], str] = lambda cell: cell.key
    transactions: int | None = 1  # different ones that are sent
    again: bool = True  # asked again it gives the same result, and does nothing
    slow: bool = False  # it waits for a second or more


@dataclass(frozen=True)
class Place:
    """The request that a fault meets: one that holds the method, after each of `after` and `skip` others."""

    method: str
    work: Work
    skip: int = 0
    after: tuple[str, ...] = ()


def mine(cell: Cell) -> None:
    """The task's block is not the latest one any more when the client first hears of its receipt."""
    cell.program.mined(cell.program.proxy.raw_sent[-1])  # else this block could be the task's
    cell.program.case.mine()


def take_the_nonce(cell: Cell) -> None:
    """Another program's transaction is executed while ours is on its way."""
    cell.program.stranger()


def leave_a_gap(cell: Cell) -> None:
    """Another program's transaction waits behind a nonce that nobody has used."""
    case = cell.program.case
    count = case.network.rpc(COUNT, case.sender, "latest")
    cell.program.stranger(int(count, 16) + 1)


def leave_a_gap_at_an_old_node(cell: Cell) -> None:
    leave_a_gap(cell)
    cell.program.proxy.order("txpool_contentFrom", Fault.NO_METHOD, 100)


def lose_the_connection(cell: Cell) -> None:
    """The client asks for the chain id again."""
    cell.program.proxy.order("*", Fault.DROP_BEFORE)


def publish_from_another_client(cell: Cell) -> Any:
    with cell.program.another(*cell.urls) as call:
        return replace(cell, call=call).publish()


def publish_to_nobody_first(cell: Cell) -> Any:
    """The checks find that there is no source, and the key stays free for a task that can be published."""
    info = cell.program.case.task(cell.key)
    info.source = NOWHERE
    with pytest.raises(ContractMissing):
        cell.call("publish_task", info, idempotency_key=cell.key)
    return cell.publish()


def publish_without_key(cell: Cell) -> Any:
    return cell.call("publish_task", cell.program.case.task(cell.key))


def mend_and_publish(cell: Cell) -> Any:
    cell.call("fix_nonce")
    return cell.publish()


def deposit(cell: Cell) -> Any:
    return cell.call("vault.deposit", cell.amount).hash


PUBLISH = Work(Cell.publish)
DEPOSIT = Work(deposit, done=lambda cell: deposit_key(cell.amount), again=False)
OPENED = Work(publish_from_another_client)
RECONNECTED = Work(Cell.publish, lose_the_connection)
BURIED = Work(Cell.publish, after_send=mine)
OVERTAKEN = Work(publish_without_key, before_send=take_the_nonce, transactions=2, again=False, slow=True)
MISTAKEN = Work(publish_to_nobody_first, again=False)
MENDED = Work(mend_and_publish, leave_a_gap, transactions=None, slow=True)
MENDED_THERE = Work(mend_and_publish, leave_a_gap_at_an_old_node, transactions=None, slow=True)

PLACES = {
    "chain id": Place("eth_chainId", OPENED),
    "chain id again": Place("eth_chainId", RECONNECTED),
    "genesis": Place(BLOCK, OPENED),
    "count when checking": Place(COUNT, PUBLISH),
    "count when signing": Place(COUNT, PUBLISH, skip=1),
    "count when signing anew": Place(COUNT, OPENED, skip=1),
    "count when following": Place(COUNT, PUBLISH, after=(SEND,)),
    "count when overtaken": Place(COUNT, OVERTAKEN, after=(SEND, HEAD)),
    "balance when checking": Place("eth_getBalance", PUBLISH),
    "balance when signing": Place("eth_getBalance", PUBLISH, skip=1),
    "block when checking": Place(BLOCK, PUBLISH),
    "block when signing": Place(BLOCK, PUBLISH, skip=2),
    "block when following": Place(BLOCK, PUBLISH, after=(SEND,)),
    "block when overtaken": Place(BLOCK, OVERTAKEN, after=(SEND, HEAD)),
    "priority fee": Place("eth_maxPriorityFeePerGas", PUBLISH, skip=1),
    "gas price": Place("eth_gasPrice", PUBLISH, skip=1),
    "gas": Place("eth_estimateGas", PUBLISH),
    "call": Place("eth_call", PUBLISH),
    "second call": Place("eth_call", PUBLISH, skip=1),
    "code": Place("eth_getCode", MISTAKEN),
    "send": Place(SEND, PUBLISH),
    "send of a deposit": Place(SEND, DEPOSIT),
    "send when overtaken": Place(SEND, OVERTAKEN),
    "receipt": Place(RECEIPT, PUBLISH, after=(SEND,)),
    "receipt of a deposit": Place(RECEIPT, DEPOSIT, after=(SEND,)),
    "block of a receipt": Place("eth_getBlockByHash", BURIED),
    "head when checking": Place(HEAD, PUBLISH),
    "head when overtaken": Place(HEAD, OVERTAKEN, after=(SEND,)),
    "pool of the account": Place("txpool_contentFrom", MENDED),
    "pool": Place("txpool_content", MENDED_THERE),
}

METHODS = {place.method for place in PLACES.values()}


def set_up(cell: Cell, place: Place) -> Order:
    """Order the fault, and what its place needs."""
    work, proxy = place.work, cell.program.proxy
    work.prepare(cell)
    before, after = (step and partial(step, cell) for step in (work.before_send, work.after_send))
    if before or after:
        cell.program.at_the_send(before, after)
    first = None
    for method in place.after:
        first = proxy.order(method, Fault.NONE, after=first)
    fault = proxy.order(place.method, cell.fault, skip=place.skip, after=first)
    if place.method != SEND and (place.after or before or after):
        no_look_before_the_send(cell.program)
    return fault


def no_look_before_the_send(program: Program) -> None:
    """The client first hears of a receipt when the node has had its transaction."""
    sends = [order for order in program.proxy.orders if order.method == SEND]
    sent = sends[0] if sends else program.proxy.order(SEND, Fault.NONE)
    program.proxy.order(RECEIPT, Fault.NONE, after=sent, hold=True)
