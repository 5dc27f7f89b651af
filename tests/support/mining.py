"""Blocks made by a test's own hand, and other blocks in their place."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from tests.support.calls import in_pool
from tests.support.invariants import Found, read_chain
from tests.support.stage import Case

LOOK = 0.02  # seconds between two looks into the pool


class Miner:
    """Mines what waits in the pool, for a case on a network that mines nothing by itself.

    Never while blocks are replaced: anvil's own mining would leave holes in its chain then.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="miner")

    def __enter__(self) -> Miner:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def found(self) -> Found:
        """What the chain has of the account now; it may have gaps while transactions are sent again."""
        with self._lock:
            return self._found()

    def keys(self) -> list[str]:
        """The keys that are executed now."""
        return sorted(self.found().executions)

    def reorganize(self, depth: int, transactions: Sequence[Any] = ()) -> list[str]:
        """Put other blocks in the place of the last ones, with these transactions in the first of them.

        Returns the keys that are not executed any more.
        """
        with self._lock:
            before = set(self._found().executions)
            self._case.network.rpc("anvil_reorg", depth, [[each, 0] for each in transactions])
            return sorted(before - set(self._found().executions))

    def _found(self) -> Found:
        return read_chain(self._case.network, self._case.sender, since_block=self._case.since_block)

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            with self._lock:
                if in_pool(self._case):
                    self._case.mine()
