"""How long a follower waits out what goes wrong, and when it gives up. Pure: the time is passed in."""

from __future__ import annotations

import logging

from ogpu.errors import ChainInconsistent, FinalityBroken, NetworkError, RPCAnswerTooLarge, RPCFailed
from ogpu.rpc.answers import NO_METHOD

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.1  # seconds; doubles
LONGEST_PAUSE = 2.0
LONGEST_RETRY_AFTER = 60.0  # seconds that are waited when a node asks for them
REMINDER = 60.0  # seconds between two warnings of the same trouble

# How often in a row something is tried that is not the network's fault. A reorganisation, or a replica that
# lags, is contradictory for a moment; the chain below its finality is asked for of other nodes too.
TRIES = {ChainInconsistent: 8, FinalityBroken: 3, RPCFailed: 5}


class Patience:
    """What goes wrong in a row. `most`: seconds for which a network may be away; None for ever."""

    def __init__(self, most: float | None = None) -> None:
        self._most = most
        self._since: float | None = None
        self._warned = 0.0
        self._tries = 0
        self._pause = FIRST_PAUSE

    def calm(self, now: float) -> None:
        """It goes on."""
        if self._since is not None and now - self._since > REMINDER:
            logger.warning("following the chain: going on, after %.0f s", now - self._since)
        self._since = None
        self._tries = 0
        self._pause = FIRST_PAUSE

    def pause_after(self, error: NetworkError, now: float) -> float:
        """How many seconds to wait after an error; raises it when waiting is of no use any more."""
        if self._since is None:
            self._since = now
        tries = _tries(error)
        self._tries += tries is not None
        if tries is None and self._most is not None and now - self._since >= self._most:
            raise error
        if tries is not None and self._tries >= tries:
            raise error
        if now == self._since or now - self._warned >= REMINDER:
            self._warned = now
            logger.warning("following the chain: trying again, for %.0f s now: %s", now - self._since, error)
        wish = min(error.facts.get("retry_after") or 0.0, LONGEST_RETRY_AFTER)
        pause, self._pause = max(self._pause, wish), min(2 * self._pause, LONGEST_PAUSE)
        return pause


def _tries(error: NetworkError) -> int | None:
    """How often what failed so is tried in a row; None for as long as it is waited for the network."""
    if isinstance(error, RPCAnswerTooLarge) or (isinstance(error, RPCFailed) and error.code == NO_METHOD):
        return 0
    for kind, tries in TRIES.items():
        if isinstance(error, kind):
            return tries
    return None if error.retryable else 0
