"""How much content and how much time a caller is willing to spend."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from ogpu.errors import InvalidInput

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one upload or one fetch; all are above 0.

    `max_bytes` bounds the file, and what comes from a gateway in one attempt: in blocks, a quarter and 64 KiB
    more. `total_seconds` bounds the time of all attempts at all gateways.
    """

    max_bytes: int = MAX_BYTES
    total_seconds: float = 60.0
    idle_seconds: float = 20.0  # to connect, and between two reads
    attempts: int = 3
    backoff_seconds: float = 0.25  # doubled after each attempt

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int, float) if field.name.endswith("_seconds") else (int,)
            good = (
                isinstance(value, kinds)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and value > 0
            )
            if not good:
                raise InvalidInput(f"Limits: {field.name} must be a finite number above 0.")
