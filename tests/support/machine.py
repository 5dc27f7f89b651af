"""Hypothesis plays two programs on one key and one journal against a chain that misbehaves."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, rule
from hypothesis.strategies import booleans, integers, sampled_from

from ogpu.tx.boundaries import Boundary
from ogpu.tx.state import Policy
from tests.support.faults import SEND, Fault
from tests.support.invariants import Found, read_chain
from tests.support.journals import Rows, assert_journal_equals_chain, journal_rows
from tests.support.market import PRICE
from tests.support.plain import ask
from tests.support.program import Answer, Program, Setting
from tests.support.stage import Case, Stage

T = TypeVar("T")

PATIENCE = 60.0  # seconds
A_MOMENT = 1.0  # seconds that a step waits for what it began; nothing rests on it
QUICK, SLOW = 0.3, 45.0  # seconds after which a transaction is stuck
SOMEBODY = "0x" + "00" * 19 + "01"
FIRST_FEE, HIGHEST_FEE = 10**9, 10**12  # wei per gas
OPEN = ("TransactionUndetermined", "StoppedWaiting")  # what tells a caller nothing about its call's end
NETWORK = ("RPCUnreachable", "RPCInvalidResponse", "RPCRateLimited")  # before anything was stored
TELLABLE = (*OPEN, *NETWORK, "TransactionDropped", "ForeignNonce", "TransactionError")
LOST = [
    Fault.DROP_BEFORE,
    Fault.DROP_AFTER,
    Fault.RESET_AFTER,
    Fault.BAD_GATEWAY_BEFORE,
    Fault.BAD_GATEWAY_AFTER,
    Fault.GARBAGE,
    Fault.TRUNCATED,
    Fault.ALREADY_KNOWN,
]

either = sampled_from([0, 0, 0, 1])  # which program


@dataclass
class Wish:
    """What was asked for by one key, and what the callers were told."""

    key: str
    calls: int = 0
    canceled: bool = False
    answers: list[Answer] = field(default_factory=list)  # those that tell what has become of it

    def told(self, answer: Answer) -> None:
        assert not answer.error or answer.error in TELLABLE, (self.key, answer)
        if answer.error not in OPEN:
            self.answers.append(answer)

    @property
    def done(self) -> list[Answer]:
        """What callers were told who were told that it is done."""
        return [answer for answer in self.answers if not answer.error]

    def failed(self, *, but: str = "") -> bool:
        """Whether every caller was told of a failure, and none of that one."""
        errors = [answer.error for answer in self.answers]
        return len(errors) == self.calls and all(errors) and but not in errors


@dataclass
class Order:
    """Something that a program was asked for, and its answer: none while it owes it, or when it ended."""

    what: str
    keys: Sequence[str]
    owed: bool = True
    answer: Answer | None = None


def told(function: Callable[..., T]) -> Callable[..., T]:
    """Write each use of a rule into the story, as it can be called again."""

    @functools.wraps(function)
    def run(machine: Machine, **values: Any) -> T:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in values.items())
        machine.say(f"machine.{function.__name__}({shown})")
        return function(machine, **values)

    return run


def _shown(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


class Machine(RuleBasedStateMachine):
    """Two programs on one key and one journal, and a chain that misbehaves."""

    keys = Bundle("keys")

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._case: Case = self._stack.enter_context(stage.case())
        self._proxy = self._stack.enter_context(self._case.proxy())
        self._rpc = self._case.network.rpc
        self._rpc("anvil_setNextBlockBaseFeePerGas", hex(FIRST_FEE))
        self._journal = folder / f"{self._case.sender}.sqlite3"
        self._programs: list[Program] = []
        self._lives = False
        self._wishes: dict[str, Wish] = {}
        self._orders: dict[int, Order] = {}
        self._numbers = itertools.count(1)
        self._foreign: dict[str, str] = {}  # raw transactions by hash
        self._reorganisations = 0
        self._began = time.monotonic()
        self._story: list[str] = []

    @initialize(
        target=keys,
        stuck_after=sampled_from([QUICK, SLOW]),
        lives=sampled_from([False] * 7 + [True]),
        mining=booleans(),
    )
    @told
    def begin(self, stuck_after: float, lives: bool, mining: bool) -> str:
        """How the programs send, whether they go on at the end or others find what they left, and a key."""
        self._programs = [self._program(stuck_after), self._program(stuck_after)]
        self._lives = lives
        self._case.automine(mining)
        return self._submit(0, 1)[0]

    # --- calls

    @rule(target=keys, who=either)
    @told
    def submit(self, who: int) -> str:
        """Publish a task."""
        return self._submit(who, 1)[0]

    @rule(target=keys, who=either, count=integers(2, 4))
    @told
    def submit_many(self, who: int, count: int) -> MultipleResults[str]:
        """Publish tasks at once."""
        return multiple(*self._submit(who, count))

    @rule(key=keys, who=either)
    @told
    def submit_again(self, key: str, who: int) -> None:
        """The same call by the same key."""
        self._publish(self._programs[who], [key])

    @rule(key=keys, who=either)
    @told
    def submit_another(self, key: str, who: int) -> None:
        """Another call by the same key, when that is taken."""
        if self._rows().states().get(key, "refused") != "refused":
            program = self._programs[who]
            number = self._number("another", [key])
            program.publish(number, key, self._case.task(key, PRICE + 1))
            program.wait(number, A_MOMENT)

    @rule(key=keys, who=either)
    @told
    def bump(self, key: str, who: int) -> None:
        """Offer more for a transaction."""
        number = self._number("bump", [key])
        self._programs[who].order(number, "bump", key)
        self._programs[who].wait(number, A_MOMENT)

    @rule(key=keys, who=either)
    @told
    def cancel(self, key: str, who: int) -> None:
        """Put an empty transfer in a transaction's place."""
        self._wishes[key].canceled = True
        number = self._number("cancel", [key])
        self._programs[who].order(number, "cancel", key)
        self._programs[who].wait(number, A_MOMENT, sent=True)

    @rule(who=either, give_up=booleans())
    @told
    def wait(self, who: int, give_up: bool) -> None:
        """Callers wait for a moment, or no longer."""
        if give_up:
            self._programs[who].stop_waiting()
        self._programs[who].wait_for_all(A_MOMENT / 5)

    # --- crashes

    @rule(who=either)
    @told
    def crash(self, who: int) -> None:
        """`kill -9`, now."""
        self._programs[who].kill()

    @rule(who=either, boundary=sampled_from(Boundary))
    @told
    def crash_at(self, who: int, boundary: Boundary) -> None:
        """`kill -9` when the work stands there the next time."""
        self._programs[who].die_at(boundary)

    # --- the chain

    @rule(at_once=booleans())
    @told
    def mining(self, at_once: bool) -> None:
        """Whether a transaction gets a block at once, or waits until one is mined."""
        self._case.automine(at_once)
        if at_once:
            self._case.mine()

    @rule(blocks=integers(1, 3))
    @told
    def mine(self, blocks: int) -> None:
        """Mine what waits."""
        self._case.mine(blocks)

    @rule(depth=integers(1, 4), kept=integers(0, 2))
    @told
    def reorganise(self, depth: int, kept: int) -> None:
        """Other blocks in the place of the last ones; their first has so many of our transactions again."""
        found, head = self._chain(), self._case.block_number()
        self._check_once(found)
        depth = min(depth, head - self._case.since_block)
        lost = [transaction.hash for transaction in found.mined if transaction.block > head - depth]
        self._reorganisations += 1
        if depth:
            raw = self._raw()
            self.say(f"  {depth} blocks with {len(lost)} of our transactions")
            self._rpc("anvil_reorg", depth, [[raw[tx], 0] for tx in lost[:kept]])

    @rule(place=sampled_from(["latest", "pending"]))
    @told
    def foreign_transaction(self, place: str) -> None:
        """Somebody sends with the same key and knows of no journal: over our first one, or after all."""
        nonce = int(self._rpc("eth_getTransactionCount", self._case.sender, place), 16)
        self.say(f"  at nonce {nonce}")
        transaction = {
            "chainId": self._case.network.document["chain_id"],
            "nonce": nonce,
            "to": SOMEBODY,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 10 * HIGHEST_FEE,
            "maxPriorityFeePerGas": HIGHEST_FEE,
        }
        signed = Account.sign_transaction(transaction, self._case.key)
        self._foreign["0x" + signed.hash.hex()] = "0x" + signed.raw_transaction.hex()
        self._send_foreign()

    @rule(factor=sampled_from([3, 10, 100]))
    @told
    def fee_spike(self, factor: int) -> None:
        """A block with a base fee that our offers may not reach."""
        fee = min(self._base_fee() * factor, HIGHEST_FEE)
        self._rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
        self._case.mine()

    @rule(lost=integers(1, 4))
    @told
    def restart_the_node(self, lost: int) -> None:
        """Its pool is gone, and so many requests find nobody."""
        self._proxy.order("*", Fault.DROP_BEFORE, lost)
        self._rpc("anvil_dropAllTransactions")

    @rule(fault=sampled_from(LOST), times=integers(1, 2))
    @told
    def lose_replies(self, fault: Fault, times: int) -> None:
        """The next sends go wrong."""
        self._proxy.order(SEND, fault, times)

    # --- the end

    def teardown(self) -> None:
        """Let it come to an end, and check that; a failure has the story with it."""
        error: BaseException | None = sys.exception()  # of a step
        try:
            if error is None:
                self._end()
        except Exception as failure:
            error = failure
            raise
        finally:
            if isinstance(error, Exception):
                error.add_note("\n".join(self._story))
            self._stack.close()

    def _end(self) -> None:
        self._proxy.calm()
        self._case.automine(True)
        for program in self._programs:
            if not self._lives:
                program.kill()
            elif program.runs:
                program.die_at(None)
        found = self._agreed(self._programs[0] if self._lives else self._program(QUICK))
        self._check_told(found)
        self._ask_again()

    def _agreed(self, program: Program) -> Found:
        """Let the chain mine and a program recover, until each intent is what the chain has of it."""
        self.say("recovery")
        order, deadline = Order("", [], owed=False), time.monotonic() + PATIENCE
        while True:
            if not order.owed:
                number = self._number("recover", [])
                order = self._orders[number]
                program.order(number, "recover")
            self._move_on([program, *self._programs])
            found, rows = self._chain(), self._rows()
            try:
                self._check_agreement(found, rows)
                return found
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def _ask_again(self) -> None:
        """What did not fail for all its callers is asked for again: then it is done once, or not at all."""
        keys = [key for key, wish in self._wishes.items() if not wish.failed()]
        program = self._program(QUICK)
        order, deadline = self._publish(program, keys), time.monotonic() + PATIENCE
        while order.owed:
            assert time.monotonic() < deadline, "the same calls again come to no end"
            self._move_on([program, *self._programs])
        assert order.answer is not None
        answers = dict(zip(keys, order.answer.value, strict=True))
        assert not [answer for answer in answers.values() if answer.error in OPEN + NETWORK], answers
        done = [key for key, answer in answers.items() if not answer.error]
        self._agreed(program)
        found = self._case.check(done, [key for key in self._wishes if key not in done])
        for key in done:
            assert found.executions[key][0].tasks[0] == answers[key].value.lower()

    def _move_on(self, programs: Sequence[Program]) -> None:
        """The next block, at a base fee that does not sink, so that old offers must be raised."""
        self._send_foreign()
        mining: list[tuple[str, list[Any]]] = [
            ("anvil_setNextBlockBaseFeePerGas", [hex(self._base_fee())]),
            ("anvil_mine", ["0x1"]),
        ]
        ask(self._case.network.url, mining)
        for program in programs:
            program.wait_for_all(A_MOMENT / 20)

    # --- what must hold

    def _check_once(self, found: Found) -> None:
        counts = {key: len(executions) for key, executions in found.executions.items()}
        assert {key: count for key, count in counts.items() if count > 1} == {}, "executed more than once"

    def _check_told(self, found: Found) -> None:
        """What callers were told is what the chain has, as far as nobody can have changed that after."""
        steady = not self._reorganisations
        for key, wish in self._wishes.items():
            executions, said = found.executions.get(key, []), str(wish)
            if wish.failed(but="" if steady else "ForeignNonce"):
                assert not executions, said
            if wish.done and (steady or not (self._foreign or wish.canceled)):
                assert executions, said
            if steady:
                assert all(executions[0].tasks[0] == answer.value.lower() for answer in wish.done), said

    def _check_agreement(self, found: Found, rows: Rows) -> None:
        found.assert_no_gap()
        assert not found.waiting, "something waits in the pool"
        self._check_once(found)
        mined = {transaction.hash: transaction.block_hash for transaction in found.mined}
        assert_journal_equals_chain(rows, found, foreign=mined.keys() & self._foreign.keys())
        for intent in rows.intents:
            if outcome := intent["outcome"].get("receipt") or intent["outcome"].get("foreign"):
                assert mined[outcome["hash"]] == outcome["block_hash"], f"{intent['key']}: another block"
        assert not (self._lives and any(program.owes for program in self._programs)), "no answer"

    # --- bookkeeping

    def _program(self, stuck_after: float) -> Program:
        network, policy = self._case.through(self._proxy.url), Policy(stuck_after=stuck_after)
        program = Program(Setting(network, self._case.key, str(self._journal), policy), self._told)
        self._stack.callback(program.kill)
        return program

    def _submit(self, who: int, count: int) -> list[str]:
        keys = [f"key {len(self._wishes) + position}" for position in range(count)]
        self._wishes.update({key: Wish(key) for key in keys})
        self._publish(self._programs[who], keys)
        return keys

    def _publish(self, program: Program, keys: Sequence[str]) -> Order:
        for key in keys:
            self._wishes[key].calls += 1
        number = self._number("publish", keys)
        program.publish_many(number, keys, [self._case.task(key) for key in keys])
        program.wait(number, A_MOMENT, sent=True)
        return self._orders[number]

    def _number(self, what: str, keys: Sequence[str]) -> int:
        number = next(self._numbers)
        self._orders[number] = Order(what, keys)
        return number

    def _told(self, number: int, answer: Answer | None) -> None:
        order = self._orders[number]
        order.owed, order.answer = False, answer
        self.say(f"  {order.what} {', '.join(order.keys)}: {answer}")
        if answer is None:
            return
        if order.what == "another":
            assert answer.error in ("IdempotencyConflict", *NETWORK, *OPEN), answer
        if order.what == "publish":
            answers = [answer] * len(order.keys) if answer.error else answer.value
            for key, each in zip(order.keys, answers, strict=True):
                self._wishes[key].told(each)

    def _send_foreign(self) -> None:
        """Whoever sent them sends them again; the node may refuse."""
        for raw in self._foreign.values():
            with contextlib.suppress(AssertionError):
                self._rpc(SEND, raw)

    def _raw(self) -> dict[str, str]:
        """All transactions of the account, by hash."""
        ours = {row["hash"]: "0x" + bytes(row["raw"]).hex() for row in self._rows().attempts}
        return ours | self._foreign

    def _chain(self) -> Found:
        return read_chain(self._case.network, self._case.sender, since_block=self._case.since_block)

    def _rows(self) -> Rows:
        return journal_rows(self._journal) if self._journal.exists() else Rows((), (), ())

    def _base_fee(self) -> int:
        return int(self._rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)

    def say(self, what: str) -> None:
        """Go on with the story."""
        self._story.append(f"{time.monotonic() - self._began:7.3f} {what}")
