"""What a client may still spend: reserved before signing, given back when the chain has told what it cost."""

from __future__ import annotations

from ogpu.errors import BudgetExceeded


class Budget:
    """Reservations by key, in wei, on one event loop; without a limit it only counts."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._reserved: dict[str, int] = {}
        self._committed = 0  # what is spent, and what may yet be

    def reserve(self, key: str, most: int) -> None:
        """Set aside what an intent may cost at most; `BudgetExceeded` when that is not left."""
        others = self._committed - self._reserved.get(key, 0)
        if self._limit is not None and others + most > self._limit:
            raise BudgetExceeded(
                f"This may cost up to {most} wei; of the {self._limit} wei that this client may spend, "
                f"{max(0, self._limit - others)} are left.",
                hint="Nothing was sent. Raise max_spend, or open another client.",
                facts={"needed": most, "left": max(0, self._limit - others), "max_spend": self._limit},
            )
        self._reserved[key] = most
        self._committed = others + most

    def settle(self, key: str, cost: int) -> None:
        """What it has cost after all; nothing for a key that is not reserved here."""
        if (most := self._reserved.pop(key, None)) is not None:
            self._committed += cost - most
