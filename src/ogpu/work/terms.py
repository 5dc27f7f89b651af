"""The terms on which work is given to the network. Amounts in wei, durations in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ogpu.errors import ContentError, InvalidInput, OGPUError, ResultInvalid, TaskExpired, WaitTimeout
from ogpu.protocol.checks import LONGEST_KEY, check_amount, check_key, check_wait
from ogpu.protocol.results import Wish
from ogpu.rpc.codec import checked_address
from ogpu.text import shown
from ogpu.work.purse import Purse

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

ROOM_FOR_NUMBERS = 30  # characters of a key that its kind and numbers are appended to: item and attempt
MOST_ATTEMPTS = 100


@dataclass(frozen=True)
class Retry:
    """When a task is published again: at most `attempts` in all, after an error of the kinds `on`.

    These may be `TaskExpired`, `ResultInvalid`, `WaitTimeout`, and the content errors. Another attempt is
    made only once the one before it cannot be paid any more, or was: expired and its payment taken back,
    canceled, or left without a response that is of use. With `WaitTimeout` among the kinds, a task that
    nobody has taken is canceled, and one that somebody has taken is waited for to its end.

    The payment of a task that got no response of use stays frozen until its expiry, and counts in the budget.
    It is taken back then if the work goes on, or when it is done again by its idempotency key. Errors name
    such tasks in the fact `given_up`, and the log does at the end.
    """

    attempts: int = 3
    on: tuple[type[OGPUError], ...] = (TaskExpired, ResultInvalid)

    def __post_init__(self) -> None:
        good = isinstance(self.attempts, int) and not isinstance(self.attempts, bool)
        if not good or not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise InvalidInput(
                f"attempts is {shown(self.attempts)}; it must be a whole number from 1 to {MOST_ATTEMPTS}.",
                facts={"field": "attempts"},
            )
        kinds = self.on if isinstance(self.on, tuple) else ()
        if not kinds or not all(map(_says_what_became_of_a_task, kinds)):
            raise InvalidInput(
                "on must be a tuple of TaskExpired, ResultInvalid, WaitTimeout, or other content errors.",
                hint="After any other error a task may be on its way, and another one would be paid as well.",
                facts={"field": "on"},
            )


def _says_what_became_of_a_task(kind: Any) -> bool:
    return isinstance(kind, type) and (kind in (TaskExpired, WaitTimeout) or issubclass(kind, ContentError))


ONCE = Retry(attempts=1)


@dataclass(frozen=True)
class Terms:
    """What every piece of one job has in common."""

    kind: str  # of the call: its keys are apart from others'
    source: str
    function: str
    payment: int
    signer: Signer = field(repr=False)
    expires_in: int | None = None  # None: an hour, or what the source allows
    timeout: float = math.inf
    wish: Wish = field(default_factory=Wish)
    retry: Retry = ONCE
    key: str | None = None  # the root of the idempotency keys
    purse: Purse = field(default_factory=Purse, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", checked_address(self.source, "source"))
        check_amount(self.payment, "payment")
        check_wait(self.timeout)
        if self.expires_in is not None and not check_amount(self.expires_in, "expires_in"):
            raise InvalidInput("expires_in is 0; it must be a number of seconds from 1 on.")
        if not isinstance(self.retry, Retry):
            raise InvalidInput(f"retries is {shown(self.retry)}; it must be a Retry, or None.")
        check_root(self.key)

    def key_of(self, item: int | None, attempt: int) -> str | None:
        """The idempotency key of one attempt: "job-7/map/12/1" is the first of item 12."""
        if self.key is None:
            return None
        return "/".join([self.key, self.kind, *([] if item is None else [str(item)]), str(attempt)])


def check_root(key: Any) -> None:
    """The root of idempotency keys, or None."""
    check_key(key)
    if key is not None and len(key) > LONGEST_KEY - ROOM_FOR_NUMBERS:
        raise InvalidInput(
            f"idempotency_key has {len(key)} characters; it may have {LONGEST_KEY - ROOM_FOR_NUMBERS}, "
            "since numbers are appended to it.",
            facts={"field": "idempotency_key"},
        )
