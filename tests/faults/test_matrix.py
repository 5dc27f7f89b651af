"""Hazards of each request of a publish: every fault at every RPC method, and each key is executed once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from eth_account import Account
from tests.support.calls import inactivate_at_the_send
from tests.support.cells import RECEIPT, Program, all_at_once, programs
from tests.support.faults import SEND, TRANSIENT, Fault
from tests.support.market import PRICE, source_info
from tests.support.places import METHODS, OVERTAKEN, PLACES, Cell, Place, set_up
from tests.support.stage import COIN, Case

import ogpu
from ogpu.errors import (
    ContractReverted,
    ForeignNonce,
    OGPUError,
    TransactionDropped,
    TransactionUndetermined,
    WrongChain,
)
from ogpu.tx.state import Policy

HINT = "a hint to look sooner; nothing rests on it"
OTHERS = {
    "eth_getLogs": "events are read and followed by it; nothing that is published or mended asks for it",
    "eth_subscribe": HINT,
}
ROOMS = ("rpc", "tx", "protocol", "aio.py")  # what stands between a publish and its node
SHORT = 1.0  # seconds after which a client gives up on a node that is silent

FAMILIES = {  # what one program meets, one after the other
    "connection": (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.RESET_BEFORE, Fault.RESET_AFTER),
    "gateway": (Fault.BAD_GATEWAY_BEFORE, Fault.BAD_GATEWAY_AFTER, Fault.TOO_MANY, Fault.HTML),
    "garbage": (Fault.GARBAGE, Fault.TRUNCATED, Fault.CUT_SHORT),
    "answer": (Fault.NULL_RESULT, Fault.ALREADY_KNOWN),
    "timeout": (Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER),
    "stale head": (Fault.STALE_HEAD,),
}
# Where the caller may be told of a single fault, before anything is sent; the same call again then ends well.
ODD = "no node that works answers so: it is told, since trying again need not help"
MAY_BE_TOLD: dict[Fault, tuple[set[str], str]] = {
    Fault.NULL_RESULT: (METHODS - {SEND, RECEIPT, "eth_getBlockByHash"}, ODD),
    Fault.ALREADY_KNOWN: (METHODS - {SEND, RECEIPT}, ODD),
}


def prove(cell: Cell, place: Place) -> None:
    """The fault is met, the call ends well, and the same call again has the same result."""
    program, work, proxy = cell.program, place.work, cell.program.proxy
    program.calm()
    fault = set_up(cell, place)
    try:
        result = work.do(cell)
    except OGPUError:
        told, _ = MAY_BE_TOLD.get(cell.fault, (set(), ""))
        if place.method not in told or proxy.raw_sent:
            raise
        result = work.do(cell)
    assert not fault.times, "the fault was not met"
    assert work.transactions in (None, len(set(proxy.raw_sent))), "not the same bytes"
    if work.again:
        sends = len(proxy.raw_sent)
        assert work.do(cell) == result
        assert len(proxy.raw_sent) == sends
    program.done.append(work.done(cell))


def warm_up(name: str, program: Program) -> None:
    """Publish before the faults, so that a node can be behind what this client and its journal know."""
    key = f"{name}, before"
    program.call("publish_task", program.case.task(key), idempotency_key=key)
    program.done.append(key)
    program.proxy.stopped_at = program.case.since_block


both_faces = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@both_faces
@pytest.mark.parametrize("family", FAMILIES)
def test_no_fault_at_any_request_publishes_twice_or_not_at_all(
    case: Case, tmp_path: Path, family: str, sync: bool
) -> None:
    def run(program: Program, name: str, faults: Sequence[Fault]) -> None:
        program.proxy.silence = 1.5 * SHORT
        if family == "stale head":
            warm_up(name, program)
        for fault in faults:
            prove(Cell(program, f"{name}, {fault.name}", fault, program.call), PLACES[name])

    timeout, work = SHORT if family == "timeout" else 30, work_of(FAMILIES[family])
    with programs(case, list(work), tmp_path / "journal.sqlite3", sync=sync, timeout=timeout) as running:
        all_at_once({name: partial(run, program, *work[name]) for name, program in running.items()})


def work_of(faults: Sequence[Fault]) -> dict[str, tuple[str, Sequence[Fault]]]:
    """A place and the faults that one program meets there: one fault where the work is slow, else all."""
    found: dict[str, tuple[str, Sequence[Fault]]] = {}
    for name, place in PLACES.items():
        for part in [(fault,) for fault in faults] if place.work.slow else [faults]:
            found[f"{name}, {part[0].name}"] = name, part
    return found


def prove_thrown_out(cell: Cell, place: Place) -> None:
    """The fate is told or open; the same call through a good node then ends well."""
    program, work, proxy = cell.program, place.work, cell.program.proxy
    fault = set_up(cell, place)
    with pytest.raises((WrongChain, TransactionUndetermined)) as caught:
        work.do(cell)
    assert WrongChain in (type(caught.value), type(caught.value.__cause__))
    assert not fault.times, "the fault was not met"
    assert proxy.calls[-1]["method"] == "eth_chainId", "asked after it was thrown out"
    sent = set(proxy.raw_sent)
    assert not sent or isinstance(caught.value, TransactionUndetermined)
    with pytest.raises(WrongChain):
        program.call("publish_task", program.case.task(cell.key), idempotency_key="not sent")
    with program.case.proxy() as good, program.another(good.url) as call:
        elsewhere = replace(cell, call=call, urls=(good.url,))
        try:
            result = work.do(elsewhere)
        except ForeignNonce:  # found while the key was not at hand, so that nothing could be signed
            assert work is OVERTAKEN
            result = work.do(elsewhere)
        if work.again:
            assert work.do(elsewhere) == result
    sent |= {raw for raw in good.raw_sent if Account.recover_transaction(raw) == program.case.sender}
    assert work.transactions in (None, len(sent)), "not the same bytes"
    program.done.append(work.done(cell))


@both_faces
def test_a_node_of_another_chain_is_thrown_out_at_any_request_and_its_calls_end_elsewhere(
    case: Case, tmp_path: Path, sync: bool
) -> None:
    with programs(case, list(PLACES), tmp_path / "journal.sqlite3", sync=sync) as running:
        cells = {name: Cell(p, name, Fault.REPLACED, p.call) for name, p in running.items()}
        all_at_once({name: partial(prove_thrown_out, cell, PLACES[name]) for name, cell in cells.items()})


def test_every_method_that_a_publish_asks_for_is_tried_with_every_fault(slow: Case, tmp_path: Path) -> None:
    """What is asked for is recorded by the proxy while all is done that a caller can ask for."""
    slow.automine(True)
    assert {fault for family in FAMILIES.values() for fault in family} == set(TRANSIENT)
    with programs(slow, ["all"], tmp_path / "journal.sqlite3", sync=True) as running:
        program = running["all"]
        do_the_works(program)
        publish_and_confirm(program)
        revert(program)
        bump_cancel_and_recover(program)
        asked = set(program.proxy.methods)
    assert asked - METHODS == set(), "asked for, and no fault is tried there"
    assert METHODS - asked == set(), "not asked for any more"
    assert named_in_the_source() == METHODS | set(OTHERS), "somewhere the library asks for more"


def named_in_the_source() -> set[str]:
    """The RPC methods in the source of whatever stands between a publish and its node."""
    (package,) = ogpu.__path__
    rooms = [Path(package) / room for room in ROOMS]
    files = [file for room in rooms for file in (room.rglob("*.py") if room.is_dir() else [room])]
    pattern = re.compile(r'"((?:eth|net|web3|txpool|debug)_[A-Za-z]+)"')
    return {name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


def do_the_works(program: Program) -> None:
    """All that the matrix does, without a fault."""
    for name in {place.work: name for name, place in PLACES.items()}.values():
        prove(Cell(program, f"calm {name}", Fault.NONE, program.call), PLACES[name])
    program.calm()


def publish_and_confirm(program: Program) -> None:
    """A source, many tasks, one with its send lost, its response confirmed; what it would cost."""
    case, call = program.case, program.call
    with program.another(private_key=case.network.key()) as owner:
        source = owner("publish_source", source_info(), idempotency_key="the source")
    keys = ["many 1", "many 2", "many 3"]
    program.proxy.order(SEND, Fault.DROP_BEFORE)
    call("publish_tasks", [case.task(key) for key in keys], idempotency_keys=keys)
    info = replace(case.task("confirmed"), source=source)
    assert call("estimate", info).payment == PRICE
    task = call("publish_task", info, idempotency_key="confirmed")
    respond(case, source, task)
    (response,) = call("get_task_responses", task)
    call("confirm_response", response.address, idempotency_key="the response")
    assert call("get_response", response.address).confirmed
    program.done += [*keys, "confirmed"]


def respond(case: Case, source: str, task: str) -> None:
    """A response of a new provider, from its own account."""
    provider, master = (Account.create().address for _ in range(2))
    for account in (provider, master):
        case.network.rpc("anvil_setBalance", account, hex(100 * COIN))
    transact = case.network.transact
    stake = 10 * COIN
    transact("Terminal", "announceProvider", provider, stake, sender=master, value=stake)
    transact("Terminal", "announceMaster", master, sender=provider)
    transact("Nexus", "register", source, provider, 1, sender=provider)
    transact("Nexus", "attempt", task, provider, PRICE, sender=provider)
    transact("Nexus", "submitResponse", (task, provider, "ipfs://answer", PRICE), sender=provider)


def revert(program: Program) -> None:
    """The source is active when the task is signed, and not when it is executed."""
    case = program.case
    with program.another(private_key=case.network.key()) as owner:
        source = owner("publish_source", source_info(name="Short-lived"))
    inactivate_at_the_send(case, program.proxy, source)
    info = replace(case.task("reverted"), source=source)
    with pytest.raises(ContractReverted):
        program.call("publish_task", info, idempotency_key="reverted")


def bump_cancel_and_recover(program: Program) -> None:
    """What is not mined is offered for more, canceled, or taken up by the next program."""
    case = program.case
    case.automine(False)
    with program.another(policy=Policy(receipt_timeout=0.5)) as call:
        for key in ("bumped", "canceled", "recovered"):
            with pytest.raises(TransactionUndetermined):
                call("publish_task", case.task(key), idempotency_key=key)
        call("bump", "bumped")
        call("cancel", "canceled")
    case.automine(True)
    case.mine()
    program.call("recover")
    for key in ("bumped", "recovered"):
        program.call("publish_task", case.task(key), idempotency_key=key)
        program.done.append(key)
    with pytest.raises(TransactionDropped):
        program.call("publish_task", case.task("canceled"), idempotency_key="canceled")
