"""Indexers that are killed again and again: each life is a fork of a process that has imported everything.

Run as a program with a file that says what to do (`Orders`). It says when it is ready, and in the end, in a
line of JSON, what has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from ogpu.indexer.place import place_of
from ogpu.indexer.run import Indexer
from ogpu.networks import Network
from ogpu.rpc.transport import RPC
from tests.support.indexing import index_to

FEWEST_DEATHS, MOST_DEATHS = 2, 5
LONGEST_LIFE = 2.0  # seconds
LOOK = 0.02  # seconds between two looks whether all is done


@dataclass(frozen=True)
class Orders:
    """The indexes to keep, by seed; the file `target` will name the last block when the story is over."""

    contracts: dict[str, str]
    chain_id: int
    url: str
    places: dict[int, str]
    target: str


@dataclass(frozen=True)
class Death:
    """How a life ends: at a statement, in a commit, or at some time."""

    kind: str
    count: int
    delay: float  # seconds

    @classmethod
    def drawn(cls, dice: random.Random) -> Death:
        """One at random."""
        kind = dice.choice(("statement", "commit", "time"))
        most = 250 if kind == "statement" else 10
        return cls(kind, dice.randint(1, most), dice.random() * (0.002 if kind == "commit" else LONGEST_LIFE))

    def await_it(self) -> None:
        """Let it come to this process."""
        if self.kind == "time":
            _soon(self.delay)
            return
        left = self.count

        def counted(*_: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                _soon(self.delay) if self.kind == "commit" else _die()

        name = "commit" if self.kind == "commit" else "before_cursor_execute"
        event.listen(Engine, name, counted)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _soon(delay: float) -> None:
    timer = threading.Timer(delay, _die)
    timer.daemon = True
    timer.start()


def warm(orders: Orders) -> None:
    """Index a little, so that the lives need not import and compile it all, each anew."""
    with tempfile.TemporaryDirectory() as folder:
        place, network = place_of(Path(folder) / "warm.sqlite3"), _network(orders)
        asyncio.run(index_to(network, place, 1))


def supervise(orders: Orders) -> dict[str, int]:
    """Begin each index, and again after each death, until all are at the target; what has happened."""
    dice = {seed: random.Random(seed) for seed in orders.places}
    left = {seed: dice[seed].randint(FEWEST_DEATHS, MOST_DEATHS) for seed in orders.places}
    running = {_begun(orders, seed, dice[seed], left): seed for seed in orders.places}
    counts = {"lives": len(running), "killed": 0, "failed": 0}
    while running:
        pid, status = os.wait()
        seed = running.pop(pid)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            counts["killed"] += 1
        elif os.waitstatus_to_exitcode(status) == 0:
            continue
        else:
            counts["failed"] += 1
            sys.stderr.write(f"seed {seed} failed: {os.waitstatus_to_exitcode(status)}\n")
            continue
        counts["lives"] += 1
        running[_begun(orders, seed, dice[seed], left)] = seed
    return counts


def _begun(orders: Orders, seed: int, dice: random.Random, left: dict[int, int]) -> int:
    """A new life, as a process."""
    death = Death.drawn(dice) if left[seed] else None
    poll = dice.choice((0.05, 0.1, 0.3))
    left[seed] -= 1
    pid = os.fork()
    if pid:
        return pid
    try:
        if death is not None:
            death.await_it()
        asyncio.run(_live(orders, seed, poll))
        os._exit(0)
    finally:  # something was raised; a fork must not go on as its parent
        sys.stderr.write(f"seed {seed}:\n{traceback.format_exc()}")
        sys.stderr.flush()
        os._exit(1)


async def _live(orders: Orders, seed: int, poll: float) -> None:
    network = _network(orders)
    rpc = RPC(network.rpc_urls, network.chain_id, timeout=10)
    indexer = Indexer(rpc, network, place_of(orders.places[seed]), poll=poll)
    running = asyncio.create_task(indexer.run())
    target: list[Any] = []
    while not running.done() and [indexer.progress.number, indexer.progress.hash] != target:
        await asyncio.sleep(LOOK)
        target = target or _target(orders)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await rpc.close()


def _network(orders: Orders) -> Network:
    return Network("story", orders.chain_id, (orders.url,), orders.contracts, "", "", "")


def _target(orders: Orders) -> list[Any]:
    try:
        found: list[Any] = json.loads(Path(orders.target).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    return found


def written(orders: Orders) -> str:
    """Orders as the program takes them."""
    return json.dumps(asdict(orders))


def main() -> None:
    """Carry out the orders in a file."""
    given = json.loads(Path(sys.argv[1]).read_text())
    given["places"] = {int(seed): place for seed, place in given["places"].items()}
    os.nice(10)  # they are many, and other tests run beside them
    logging.disable(logging.WARNING)  # faults and reorganisations are what it is about
    orders = Orders(**given)
    warm(orders)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    began = time.monotonic()
    counts = supervise(orders)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = {"seconds": time.monotonic() - began, "processor": used.ru_utime + used.ru_stime}
    sys.stdout.write(json.dumps({**counts, **{name: round(took, 1) for name, took in times.items()}}) + "\n")


if __name__ == "__main__":
    main()
