"""How much content and how much time a caller is willing to spend."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one upload or one fetch, over all its attempts and gateways."""

    max_bytes: int = MAX_BYTES
    total_seconds: float = 60.0
    idle_seconds: float = 20.0  # to connect, and between two reads
    attempts: int = 3
    backoff_seconds: float = 0.25  # doubled after each attempt
