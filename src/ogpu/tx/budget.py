"""What a client may still spend: reserved before signing, given back when the chain has told what it cost."""

from __future__ import annotations

from ogpu.errors import BudgetExceeded


class Budget:
    """Reservations by key, in wei, on one event loop; without a limit it only counts.

    `of`, `setting` and `advice` say in errors whose budget it is, and what to do.
    """

    def __init__(
        self,
        limit: int | None,
        *,
        of: str = "this client",
        setting: str = "max_spend",
        advice: str = "Raise max_spend, or open another client.",
    ) -> None:
        self._limit = limit
        self._of, self._setting, self._advice = of, setting, advice
        self._reserved: dict[str, int] = {}
        self._committed = 0  # what is spent, and what may yet be

    @property
    def held(self) -> int:
        """How many reservations are open."""
        return len(self._reserved)

    def reserve(self, key: str, most: int) -> None:
        """Set aside what an intent may cost at most; `BudgetExceeded` when that is not left."""
        others = self._committed - self._reserved.get(key, 0)
        if self._limit is not None and others + most > self._limit:
            raise BudgetExceeded(
                f"This may cost up to {most} wei; of the {self._limit} wei that {self._of} may spend, "
                f"{max(0, self._limit - others)} are left.",
                hint=f"Nothing was sent. {self._advice}",
                facts={"needed": most, "left": max(0, self._limit - others), self._setting: self._limit},
            )
        self._reserved[key] = most
        self._committed = others + most

    def settle(self, key: str, cost: int) -> None:
        """What it has cost after all; nothing for a key that is not reserved here."""
        if (most := self._reserved.pop(key, None)) is not None:
            self._committed += cost - most
