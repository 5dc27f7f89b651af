"""What the journal answers when it did not write: for the transaction engine, nobody else sees these."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(Exception):
    """Nothing was written, for a reason that the engine deals with."""


class LeaseLost(Refusal):
    """Somebody else may give nonces to this account now, or we gave the lease back."""


class KeyTaken(Refusal):
    """Intents of these keys are there already, with other transactions."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(f"{len(self.keys)} of the keys are in the journal already")


class IntentMoved(Refusal):
    """The intent is no longer what the caller saw: another transaction of it could execute it twice."""
