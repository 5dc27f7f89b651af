"""Hypothesis plays two programs on one key and one journal against a chain that misbehaves."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, rule
from hypothesis.strategies import booleans, integers, sampled_from

from ogpu.tx.boundaries import Boundary
from tests.support.faults import SEND, Fault
from tests.support.history import A_MOMENT, HIGHEST_FEE, QUICK, SLOW, History
from tests.support.market import PRICE
from tests.support.stage import Stage

T = TypeVar("T")

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


def told(function: Callable[..., T]) -> Callable[..., T]:
    """Write each use of a rule into the story, as it can be called again."""

    @functools.wraps(function)
    def run(machine: Machine, **values: Any) -> T:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in values.items())
        machine.history.say(f"machine.{function.__name__}({shown})")
        return function(machine, **values)

    return run


def _shown(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


class Machine(RuleBasedStateMachine):
    """Two programs on one key and one journal, and a chain that misbehaves."""

    keys = Bundle("keys")

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__()
        self.history = History(stage, folder)

    @initialize(
        target=keys,
        stuck_after=sampled_from([QUICK, SLOW]),
        lives=sampled_from([False] * 7 + [True]),
        mining=booleans(),
    )
    @told
    def begin(self, stuck_after: float, lives: bool, mining: bool) -> str:
        """How the programs send, whether they go on at the end or others find what they left, and a key."""
        self.history.programs = [self.history.program(stuck_after) for _ in range(2)]
        self.history.lives = lives
        self.mining(at_once=mining)
        return self.history.submit(0, 1)[0]

    # --- calls

    @rule(target=keys, who=either)
    @told
    def submit(self, who: int) -> str:
        """Publish a task."""
        return self.history.submit(who, 1)[0]

    @rule(target=keys, who=either, count=integers(2, 4))
    @told
    def submit_many(self, who: int, count: int) -> MultipleResults[str]:
        """Publish tasks at once."""
        return multiple(*self.history.submit(who, count))

    @rule(key=keys, who=either)
    @told
    def submit_again(self, key: str, who: int) -> None:
        """The same call by the same key."""
        self.history.publish(self.history.programs[who], [key])

    @rule(key=keys, who=either)
    @told
    def submit_another(self, key: str, who: int) -> None:
        """Another call by the same key, when that is taken."""
        if self.history.rows().states().get(key, "refused") != "refused":
            program = self.history.programs[who]
            number, _ = self.history.order("another", [key])
            program.publish(number, key, self.history.case.task(key, PRICE + 1))
            program.wait(number, A_MOMENT)

    @rule(key=keys, who=either)
    @told
    def bump(self, key: str, who: int) -> None:
        """Offer more for a transaction."""
        number, _ = self.history.order("bump", [key])
        self.history.programs[who].order(number, "bump", key)
        self.history.programs[who].wait(number, A_MOMENT)

    @rule(key=keys, who=either)
    @told
    def cancel(self, key: str, who: int) -> None:
        """Put an empty transfer in a transaction's place."""
        self.history.wishes[key].canceled = True
        number, _ = self.history.order("cancel", [key])
        self.history.programs[who].order(number, "cancel", key)
        self.history.programs[who].wait(number, A_MOMENT, sent=True)

    @rule(who=either, give_up=booleans())
    @told
    def wait(self, who: int, give_up: bool) -> None:
        """Callers wait for a moment, or no longer."""
        if give_up:
            self.history.programs[who].stop_waiting()
        self.history.programs[who].wait_for_all(A_MOMENT / 5)

    # --- crashes

    @rule(who=either)
    @told
    def crash(self, who: int) -> None:
        """`kill -9`, now."""
        self.history.programs[who].kill()

    @rule(who=either, boundary=sampled_from(Boundary))
    @told
    def crash_at(self, who: int, boundary: Boundary) -> None:
        """`kill -9` when the work stands there the next time."""
        self.history.programs[who].die_at(boundary)

    # --- the chain

    @rule(at_once=booleans())
    @told
    def mining(self, at_once: bool) -> None:
        """Whether a transaction gets a block at once, or waits until one is mined."""
        self.history.at_once = at_once
        if at_once:
            self.history.mine()

    @rule(blocks=integers(1, 3))
    @told
    def mine(self, blocks: int) -> None:
        """Mine what waits."""
        self.history.mine(blocks)

    @rule(depth=integers(1, 4), kept=integers(0, 2))
    @told
    def reorganise(self, depth: int, kept: int) -> None:
        """Other blocks in the place of the last ones; their first has so many of our transactions again."""
        self.history.reorganise(depth, kept)

    @rule(place=sampled_from(["latest", "pending"]))
    @told
    def foreign_transaction(self, place: str) -> None:
        """Somebody else has the key, and sends at our first nonce that waits ("latest"), or after all."""
        count = self.history.rpc("eth_getTransactionCount", self.history.case.sender, place)
        self.history.foreign_transaction(int(count, 16))

    @rule(factor=sampled_from([3, 10, 100]))
    @told
    def fee_spike(self, factor: int) -> None:
        """A block with a base fee that our offers may not reach."""
        fee = min(self.history.base_fee() * factor, HIGHEST_FEE)
        self.history.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
        self.history.mine()

    @rule(lost=integers(1, 4))
    @told
    def restart_the_node(self, lost: int) -> None:
        """Its pool is gone, and so many requests find nobody."""
        self.history.proxy.order("*", Fault.DROP_BEFORE, lost)
        self.history.rpc("anvil_dropAllTransactions")

    @rule(fault=sampled_from(LOST), times=integers(1, 2))
    @told
    def lose_replies(self, fault: Fault, times: int) -> None:
        """The next sends go wrong."""
        self.history.proxy.order(SEND, fault, times)

    def teardown(self) -> None:
        """The end, also after a step that failed."""
        self.history.close(sys.exception())
