"""Hazards of two faults after each other, at nonce, send and receipt: all pairs, in both orders."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from tests.support.calls import in_pool
from tests.support.cells import PATIENCE, RECEIPT, Program, all_at_once, programs
from tests.support.faults import SEND, Fault
from tests.support.localnet import wait_until
from tests.support.places import COUNT
from tests.support.proxy import Order
from tests.support.stage import Case

from ogpu.errors import TransactionUndetermined, WrongChain

AT_ONCE = 12  # programs of a kind
SHORT = 1.0  # seconds after which a client gives up on a node that is silent
UNSEEN = (
    Fault.DROP_BEFORE,
    Fault.RESET_BEFORE,
    Fault.BAD_GATEWAY_BEFORE,
    Fault.TOO_MANY,
    Fault.SILENCE_BEFORE,
)
DONE = (  # by the node
    Fault.DROP_AFTER,
    Fault.RESET_AFTER,
    Fault.BAD_GATEWAY_AFTER,
    Fault.GARBAGE,
    Fault.TRUNCATED,
    Fault.SILENCE_AFTER,
    Fault.ALREADY_KNOWN,
)
READ = (*UNSEEN, Fault.GARBAGE, Fault.TRUNCATED, Fault.STALE_HEAD)  # whether the node saw a read is all one
SILENT = {Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER}


@dataclass(frozen=True)
class Point:
    """A fault at a method."""

    method: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault.name} at {NAMES[self.method]}"


Pair = tuple[Point, Point]
Hand = tuple[Program, Sequence[Pair]]

NAMES = {COUNT: "nonce", SEND: "send", RECEIPT: "receipt", "*": "any"}
POINTS = {
    "nonce": [Point(COUNT, fault) for fault in READ],
    "send": [Point(SEND, fault) for fault in (*UNSEEN, *DONE)],
    "receipt": [Point(RECEIPT, fault) for fault in (*READ, Fault.NULL_RESULT)],
}
ALL = [point for points in POINTS.values() for point in points]
REPLACED = Point("*", Fault.REPLACED)


def name_of(pair: Pair) -> str:
    """A key for what is published meanwhile."""
    return f"{pair[0]}, {pair[1]}"


def is_mined_before_a_second_send(pair: Pair) -> bool:
    """Whether both faults are at sends, and the first one's transaction gets a block at once."""
    first, second = pair
    return (first.method, second.method) == (SEND, SEND) and first.fault in DONE


def order(program: Program, first: Point, second: Point | None = None) -> list[Order]:
    """Let the first fault come at its place in a publish, and the second one after it."""
    proxy, method = program.proxy, second.method if second else ""
    if first.method == COUNT:  # the one that the transaction is signed with
        orders = [proxy.order(COUNT, first.fault, skip=1)]
    elif first.method == SEND:
        orders = [proxy.order(SEND, first.fault)]
    else:  # a second send needs a first one that was lost
        sent = proxy.order(SEND, Fault.DROP_BEFORE if method == SEND else Fault.NONE)
        orders = [sent, proxy.order(RECEIPT, first.fault, after=sent, hold=True)]
    if (first.method, method) == (COUNT, RECEIPT):
        orders.append(proxy.order(SEND, Fault.NONE, after=orders[-1]))
    last = orders[-1]
    if second:
        hold = method == RECEIPT != first.method  # no look before the send
        orders.append(proxy.order(method, second.fault, after=last, hold=hold))
    if (first.method, method) == (SEND, COUNT):
        proxy.order(RECEIPT, Fault.NONE, after=last, hold=True)
    return orders


def publish(program: Program, pair: Pair, orders: Sequence[Order]) -> None:
    """Both faults are met, in their order, and the task is published once, by one transaction."""
    key = name_of(pair)
    program.call("publish_task", program.case.task(key), idempotency_key=key)
    assert not any(ordered.times for ordered in orders), f"{key}: not met: {orders}"
    assert len(set(program.proxy.raw_sent)) == 1, f"{key}: not the same bytes"
    program.done.append(key)


def publish_all(program: Program, pairs: Sequence[Pair]) -> None:
    """One after the other; a node that is behind is behind what this client has done."""
    program.proxy.stopped_at = program.case.since_block
    for pair in pairs:
        program.calm()
        publish(program, pair, order(program, *pair))


@contextlib.contextmanager
def dealt(case: Case, journal: Path, pairs: Sequence[Pair], most: int) -> Iterator[list[Hand]]:
    """Programs for all pairs, which they do in turn: sync and async as on a chessboard, where a fault meets
    one half of the others in each form; impatient where a node is silent.
    """
    kinds: dict[tuple[bool, float], list[Pair]] = {}
    for pair in pairs:
        sync = sum(ALL.index(point) for point in pair if point in ALL) % 2 == 0
        silent = any(point.fault in SILENT for point in pair)
        kinds.setdefault((sync, SHORT if silent else 30), []).append(pair)
    hands: list[Hand] = []
    with contextlib.ExitStack() as stack:
        for (sync, timeout), some in kinds.items():
            some.sort(key=lambda pair: any(point.fault is Fault.STALE_HEAD for point in pair))
            names = [name_of(pair) for pair in some[:most]]
            running = stack.enter_context(programs(case, names, journal, sync=sync, timeout=timeout))
            for number, program in enumerate(running.values()):
                program.proxy.silence = 1.5 * SHORT
                hands.append((program, some[number::most]))
        yield hands


@pytest.mark.parametrize("second", POINTS)
@pytest.mark.parametrize("first", POINTS)
def test_no_two_faults_after_each_other_publish_twice_or_not_at_all(
    case: Case, tmp_path: Path, first: str, second: str
) -> None:
    board = product(POINTS[first], POINTS[second])
    pairs = [pair for pair in board if not is_mined_before_a_second_send(pair)]
    with dealt(case, tmp_path / "journal.sqlite3", pairs, AT_ONCE) as hands:
        all_at_once({name_of(some[0]): partial(publish_all, program, some) for program, some in hands})


def test_what_a_node_has_lost_meets_the_next_fault_when_it_is_sent_again(slow: Case, tmp_path: Path) -> None:
    """The node did the first send, whatever it said, and then drops all that is not mined yet."""
    board = product(POINTS["send"], POINTS["send"])
    pairs = [pair for pair in board if is_mined_before_a_second_send(pair)]
    slow.automine(True)
    with dealt(slow, tmp_path / "journal.sqlite3", pairs, len(pairs)) as hands:
        slow.automine(False)
        orders = {pair: order(program, *pair) for program, (pair,) in hands}
        work = {name_of(pair): partial(publish, p, pair, orders[pair]) for p, (pair,) in hands}
        firsts = [ordered[0].over for ordered in orders.values()]
        all_at_once({**work, "the chain": partial(lose_and_mine, slow, firsts, hands)})


def lose_and_mine(case: Case, firsts: Sequence[Future[None]], hands: Sequence[Hand]) -> None:
    """Let the node lose all that was sent, and then mine until everything is done."""
    assert not wait(firsts, PATIENCE).not_done, "the first faults were not met"
    case.network.rpc("anvil_dropAllTransactions")
    case.mine()  # a block without them: clients that thought that they were accepted send again

    def is_over() -> bool:
        return all(program.done for program, _ in hands)

    while not is_over():
        wait_until(lambda: is_over() or in_pool(case), PATIENCE, "another send")
        case.mine()


def thrown_out(program: Program, point: Point) -> None:
    """After the fault the node comes back as one of another chain; the same call ends at a good one."""
    key, orders = name_of((point, REPLACED)), order(program, point, REPLACED)
    info = program.case.task(key)
    with pytest.raises((WrongChain, TransactionUndetermined)) as caught:
        program.call("publish_task", info, idempotency_key=key)
    assert WrongChain in (type(caught.value), type(caught.value.__cause__))
    assert not any(ordered.times for ordered in orders), f"{key}: not met: {orders}"
    with program.another(program.case.network.url) as call:
        call("publish_task", info, idempotency_key=key)
    program.done.append(key)


def test_a_node_of_another_chain_after_another_fault_publishes_nothing_twice(
    case: Case, tmp_path: Path
) -> None:
    pairs = [(point, REPLACED) for point in ALL]
    with dealt(case, tmp_path / "journal.sqlite3", pairs, len(pairs)) as hands:
        all_at_once({name_of(pair): partial(thrown_out, program, pair[0]) for program, (pair,) in hands})


def served_by_the_second(program: Program, pair: Pair) -> None:
    """The first node turns out to be of another chain; what is left is one that fails too, once."""
    key, second = name_of(pair), program.proxy
    with program.case.proxy() as first, program.another(first.url, second.url) as call:
        call("publish_task", program.case.task(f"before {key}"), idempotency_key=f"before {key}")
        program.done.append(f"before {key}")
        program.calm()
        replaced = first.order("*", Fault.REPLACED)
        orders = order(program, pair[1])
        call("publish_task", program.case.task(key), idempotency_key=key)
        assert not any(ordered.times for ordered in (replaced, *orders)), f"{key}: not met: {orders}"
        assert first.calls[-1]["method"] == "eth_chainId", "asked after it was thrown out"
        assert len(set(second.raw_sent)) == 1, f"{key}: not the same bytes"
    program.done.append(key)


def test_a_fault_after_the_other_node_was_thrown_out_publishes_nothing_twice(
    case: Case, tmp_path: Path
) -> None:
    pairs = [(REPLACED, point) for point in ALL]
    with dealt(case, tmp_path / "journal.sqlite3", pairs, len(pairs)) as hands:
        for program, _ in hands:
            program.proxy.stopped_at = program.case.since_block
        all_at_once({name_of(pair): partial(served_by_the_second, p, pair) for p, (pair,) in hands})
