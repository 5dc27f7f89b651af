"""Which transactions somebody waits for, and which were sent and left with their fate open."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from ogpu.errors import TransactionError, TransactionUndetermined
from ogpu.tx.state import Attempt

# Every book of this process: `fix_nonce` must leave alone what any client of the program waits for.
_books: weakref.WeakSet[AttemptBook] = weakref.WeakSet()


class AttemptBook:
    """The attempts of one manager, and the nonces that follow from them."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self._waiting: list[Attempt] = []
        self._open: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
        self._next: dict[str, int] = {}
        _books.add(self)

    @contextmanager
    def responsible(self, attempt: Attempt) -> Iterator[None]:
        """While somebody waits for an attempt it is theirs; left without a verdict it is kept as open."""
        self.close(attempt)
        self._waiting.append(attempt)
        try:
            yield
        except TransactionError as error:
            if isinstance(error, TransactionUndetermined):
                self._open[attempt.sender, attempt.call.fingerprint].append(attempt)
            raise
        except BaseException:
            self._open[attempt.sender, attempt.call.fingerprint].append(attempt)
            raise
        finally:
            self._waiting.remove(attempt)

    def close(self, attempt: Attempt) -> None:
        """An attempt is no longer open."""
        kept = self._open[attempt.sender, attempt.call.fingerprint]
        if attempt in kept:
            kept.remove(attempt)

    def open_for(self, sender: str, fingerprint: str, nonce: int | None) -> Attempt | None:
        """The oldest open attempt of that call, at that nonce if one is given."""
        for attempt in self._open.get((sender, fingerprint), ()):
            if nonce in (None, attempt.nonce):
                return attempt
        return None

    def open_of(self, sender: str, from_nonce: int) -> list[Attempt]:
        """The account's open attempts at that nonce and after it, by nonce."""
        found = [a for kept in self._open.values() for a in kept if a.sender == sender]
        return sorted((a for a in found if a.nonce >= from_nonce), key=lambda a: a.nonce)

    def waiting(self, sender: str) -> list[Attempt]:
        """The account's attempts that somebody waits for, through this manager."""
        return [attempt for attempt in list(self._waiting) if attempt.sender == sender]

    def waiting_in_process(self, sender: str) -> list[Attempt]:
        """The same through any client of this process on this chain."""
        books = [book for book in list(_books) if book.chain_id == self.chain_id]
        return [attempt for book in books for attempt in book.waiting(sender)]

    def sent(self, attempt: Attempt) -> None:
        """A node has the attempt, or may have it."""
        self._next[attempt.sender] = max(attempt.nonce + 1, self._next.get(attempt.sender, 0))

    def next_nonce(self, sender: str) -> int | None:
        """The nonce after our last transaction, if we sent one."""
        return self._next.get(sender)

    def forget(self, sender: str | None = None) -> None:
        """Drop the cached nonce of an account, or of all."""
        if sender is None:
            self._next.clear()
        else:
            self._next.pop(sender, None)
