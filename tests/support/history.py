"""What programs on one key and one journal were asked for and told, and what must hold at the end."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account

from ogpu.tx.state import Policy
from tests.support.faults import SEND
from tests.support.invariants import Found, read_chain
from tests.support.journals import Rows, assert_journal_equals_chain, journal_rows
from tests.support.plain import ask
from tests.support.program import Answer, Program, Setting
from tests.support.stage import Case, Stage

PATIENCE = 60.0  # seconds
A_MOMENT = 1.0  # seconds that a step waits for what it began; nothing rests on it
QUICK, SLOW = 0.3, 45.0  # seconds after which a transaction is stuck
SOMEBODY = "0x" + "00" * 19 + "01"
FIRST_FEE, HIGHEST_FEE = 10**9, 10**12  # wei per gas
OPEN = ("TransactionUndetermined", "StoppedWaiting")  # what tells a caller nothing about its call's end
NETWORK = ("RPCUnreachable", "RPCInvalidResponse", "RPCRateLimited")  # before anything was stored
TELLABLE = (*OPEN, *NETWORK, "TransactionDropped", "ForeignNonce", "TransactionError")


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


class History:
    """Two programs and a chain; what they do is up to a machine."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.case: Case = self._stack.enter_context(stage.case())
        self.proxy = self._stack.enter_context(self.case.proxy())
        self.rpc = self.case.network.rpc
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(FIRST_FEE))
        self.case.automine(False)
        self.at_once = True  # whether what is sent gets a block at once
        self._chain = threading.Lock()  # anvil loses transactions when it reorganises and mines at one moment
        self.proxy.hold_after = self._answered
        self.lives = False  # whether the programs go on at the end, or others find what they have left
        self.programs: list[Program] = []
        self.wishes: dict[str, Wish] = {}
        self._journal = folder / f"{self.case.sender}.sqlite3"
        self._orders: dict[int, Order] = {}
        self._numbers = itertools.count(1)
        self._foreign: dict[str, str] = {}  # raw transactions by hash
        self._reorganisations = 0
        self._began = time.monotonic()
        self._story: list[str] = []

    def say(self, what: str) -> None:
        """Go on with the story."""
        self._story.append(f"{time.monotonic() - self._began:7.3f} {what}")

    # --- programs

    def program(self, stuck_after: float) -> Program:
        """One more program; it starts with its first order."""
        network, policy = self.case.through(self.proxy.url), Policy(stuck_after=stuck_after)
        program = Program(Setting(network, self.case.key, str(self._journal), policy), self._told)
        self._stack.callback(program.kill)
        return program

    def submit(self, who: int, count: int) -> list[str]:
        """Have tasks of new keys published; the keys."""
        keys = [f"key {len(self.wishes) + position}" for position in range(count)]
        self.wishes.update({key: Wish(key) for key in keys})
        self.publish(self.programs[who], keys)
        return keys

    def publish(self, program: Program, keys: Sequence[str]) -> Order:
        """Have tasks published."""
        for key in keys:
            self.wishes[key].calls += 1
        number, order = self.order("publish", keys)
        program.publish_many(number, keys, [self.case.task(key) for key in keys])
        program.wait(number, A_MOMENT, sent=True)
        return order

    def order(self, what: str, keys: Sequence[str]) -> tuple[int, Order]:
        """A number for something that a program is asked for."""
        number = next(self._numbers)
        self._orders[number] = Order(what, keys)
        return number, self._orders[number]

    def _told(self, number: int, answer: Answer | None) -> None:
        order = self._orders[number]
        order.owed, order.answer = False, answer
        if order.what != "recover":
            self.say(f"  {order.what} {', '.join(order.keys)}: {answer}")
        if answer is None:
            return
        if order.what == "another":
            assert answer.error in ("IdempotencyConflict", *NETWORK, *OPEN), answer
        if order.what == "publish":
            answers = [answer] * len(order.keys) if answer.error else answer.value
            for key, each in zip(order.keys, answers, strict=True):
                self.wishes[key].told(each)

    # --- the chain

    def mine(self, blocks: int = 1) -> None:
        """Mine what waits."""
        with self._chain:
            self.case.mine(blocks)

    def _answered(self, method: str) -> None:
        """What is mined at once is mined by us, so that nothing else happens to the chain meanwhile."""
        if method == SEND and self.at_once:
            self.mine()

    def reorganise(self, depth: int, kept: int) -> None:
        """Other blocks in the place of the last ones; their first has so many of our transactions again."""
        with self._chain:
            self._reorganise(depth, kept)

    def _reorganise(self, depth: int, kept: int) -> None:
        found, head = self.chain(), self.case.block_number()
        self._check_once(found)
        depth = min(depth, head - self.case.since_block)
        lost = [transaction.hash for transaction in found.mined if transaction.block > head - depth]
        raw = {row["hash"]: "0x" + bytes(row["raw"]).hex() for row in self.rows().attempts} | self._foreign
        self.say(f"  {depth} blocks with {len(lost)} of our transactions")
        self._reorganisations += 1
        if depth:
            self.rpc("anvil_reorg", depth, [[raw[tx], 0] for tx in lost[:kept]])

    def foreign_transaction(self, nonce: int) -> None:
        """Somebody sends with the same key and knows of no journal."""
        self.say(f"  at nonce {nonce}")
        transaction = {
            "chainId": self.case.network.document["chain_id"],
            "nonce": nonce,
            "to": SOMEBODY,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 10 * HIGHEST_FEE,
            "maxPriorityFeePerGas": HIGHEST_FEE,
        }
        signed = Account.sign_transaction(transaction, self.case.key)
        self._foreign["0x" + signed.hash.hex()] = "0x" + signed.raw_transaction.hex()
        self._send_foreign()
        if self.at_once:
            self.mine()

    def _send_foreign(self) -> None:
        """Whoever sent them sends them again; the node may refuse."""
        for raw in self._foreign.values():
            with contextlib.suppress(AssertionError):
                self.rpc(SEND, raw)

    def chain(self) -> Found:
        """What the chain has of the account."""
        return read_chain(self.case.network, self.case.sender, since_block=self.case.since_block)

    def rows(self) -> Rows:
        """What the journal has."""
        return journal_rows(self._journal) if self._journal.exists() else Rows((), (), ())

    def base_fee(self) -> int:
        """The latest block's, in wei per gas."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)

    # --- the end

    def close(self, error: BaseException | None) -> None:
        """Let it come to an end and check that, unless a step has failed; a failure has the story with it."""
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
        self.proxy.calm()
        self.at_once = True
        for program in self.programs:
            if not self.lives:
                program.kill()
            elif program.runs:
                program.die_at(None)
        program = self.programs[0] if self.lives else self.program(QUICK)
        self._check_told(self._agreed(program))
        self._ask_again(program)

    def _agreed(self, program: Program) -> Found:
        """Let the chain mine and a program recover, until each intent is what the chain has of it."""
        self.say("recovery")
        order, deadline = Order("", [], owed=False), time.monotonic() + PATIENCE
        while True:
            if not order.owed:
                number, order = self.order("recover", [])
                program.order(number, "recover")
            self._move_on([program, *self.programs])
            found, rows = self.chain(), self.rows()
            try:
                self._check_agreement(found, rows)
                return found
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def _ask_again(self, program: Program) -> None:
        """What did not fail for all its callers is asked for again: then it is done once, or not at all."""
        states = self.rows().states()
        keys = [key for key, wish in self.wishes.items() if key in states or not wish.failed()]
        order, deadline = self.publish(program, keys), time.monotonic() + PATIENCE
        while order.owed:
            assert time.monotonic() < deadline, "the same calls again come to no end"
            self._move_on([program, *self.programs])
        assert order.answer is not None
        answers = dict(zip(keys, order.answer.value, strict=True))
        assert not [answer for answer in answers.values() if answer.error in OPEN + NETWORK], answers
        done = [key for key, answer in answers.items() if not answer.error]
        self._agreed(program)
        found = self.case.check(done, [key for key in self.wishes if key not in done])
        for key in done:
            assert found.executions[key][0].tasks[0] == answers[key].value.lower()

    def _move_on(self, programs: Sequence[Program]) -> None:
        """The next block, at a base fee that does not sink, so that old offers must be raised."""
        self._send_foreign()
        mining: list[tuple[str, list[Any]]] = [
            ("anvil_setNextBlockBaseFeePerGas", [hex(self.base_fee())]),
            ("anvil_mine", ["0x1"]),
        ]
        with self._chain:
            ask(self.case.network.url, mining)
        for program in programs:
            program.wait_for_all(A_MOMENT / 20)

    # --- what must hold

    def _check_once(self, found: Found) -> None:
        counts = {key: len(executions) for key, executions in found.executions.items()}
        assert {key: count for key, count in counts.items() if count > 1} == {}, "executed more than once"

    def _check_told(self, found: Found) -> None:
        """What callers were told is what the chain has, as far as nobody can have changed that after."""
        steady = not self._reorganisations
        for key, wish in self.wishes.items():
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
        assert not (self.lives and any(program.owes for program in self.programs)), "no answer"
