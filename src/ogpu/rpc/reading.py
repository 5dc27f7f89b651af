"""Reads of one node in as few batches as it takes; what a batch leaves open is asked again, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ogpu.errors import RPCInvalidResponse
from ogpu.networks import redact
from ogpu.rpc.answers import Request, is_pinned, rate_limited, result, taken, too_large
from ogpu.rpc.limits import Limit, Told, batch_refusal
from ogpu.rpc.sizes import Sizes

TOO_LARGE = 413  # HTTP status
SERVER_ERRORS = 500  # HTTP status and above
MOST_GAPS = 5  # batches of one reading that may leave out answers
MOST_TOO_LARGE = 24  # answers of one reading that may be over a limit: halving 1,000 to 1 takes 10
RATE_PATIENCE = 10.0  # seconds for one reading of which the node serves a part at a time
FIRST_PAUSE = 0.2  # seconds before the rest is asked for; doubles
LONGEST_PAUSE = 1.0


@dataclass(frozen=True)
class Reply:
    """What one HTTP request was answered; without a document when that is over our limit, or HTTP 413."""

    status: int
    document: Any
    part: float  # of the limit on an answer's bytes

    @property
    def too_large(self) -> bool:
        """Whether the answer was over our limit, and so not read."""
        return self.part > 1


Exchange = Callable[[Sequence[Request]], Awaitable[tuple[list[int], Reply]]]


class Reading:
    """Some reads on their way to one node."""

    def __init__(
        self, requests: Sequence[Request], url: str, sizes: Sizes, limit: int, exchange: Exchange
    ) -> None:
        self._requests = requests
        self._url = url
        self._sizes = sizes
        self._limit = limit  # bytes of an answer
        self._exchange = exchange
        self._answers: dict[int, Any] = {}
        self._gaps = self._too_large = 0
        self._waited, self._pause = 0.0, FIRST_PAUSE

    async def run(self) -> list[Any]:
        """The results in order, errors of the node as values; raises a `NetworkError` for lost ones."""
        count = len(self._requests)
        while len(self._answers) < count:
            still = [position for position in range(count) if position not in self._answers]
            await self._ask(still[: self._sizes.now])
        return [self._answers[position] for position in range(count)]

    async def _ask(self, part: list[int]) -> None:
        """One HTTP request for a part of the reads."""
        ids, reply = await self._exchange([self._requests[position] for position in part])
        if reply.too_large:
            self._cut(part, Told(Limit.ANSWER, self._limit), 0)
        elif len(part) == 1:
            self._answers[part[0]] = result(reply.document, self._url, ids[0])
        elif refusal := refusal_of(reply, len(part)):
            self._refused(part, refusal)
        else:
            await self._take(part, ids, reply)

    def _refused(self, part: list[int], refusal: Told) -> None:
        if refusal.limit is Limit.RATE:
            raise rate_limited(self._url)
        if refusal.limit is Limit.BATCH:
            self._sizes.refused(len(part), refusal.most, clearly=refusal.clear)
        else:
            self._cut(part, refusal, 0)

    def _cut(self, part: list[int], limit: Told, served: int) -> None:
        """An answer was over a limit: the next parts are smaller, and a single read has failed."""
        size = "" if limit.most is None else f" of {limit.most} bytes"
        error = too_large(f"An answer of {redact(self._url)} is over the limit{size}.", limit.most)
        self._too_large += not served
        if self._too_large > MOST_TOO_LARGE:
            raise error
        if len(part) == 1:
            self._answers[part[0]] = error
        else:
            self._sizes.too_large(served or len(part) // 2)

    async def _take(self, part: list[int], ids: list[int], reply: Reply) -> None:
        """Note what a batch has answered, and see why it has not answered all."""
        found, limits = taken(reply.document, self._url, ids)
        self._answers.update((part[position], answer) for position, answer in found.items())
        sized = next((limit for limit in limits if limit.limit is not Limit.RATE), None)
        if len(found) == len(part):
            self._sizes.served(len(part), reply.part)
        elif sized is not None:
            self._cut(part, sized, len(found))
        elif limits:
            await self._slow_down(whole=not found or self._belong_together(part))
        else:
            self._gap(whole=not found or self._belong_together(part))

    def _belong_together(self, part: list[int]) -> bool:
        """Whether reads have to see the chain at one time, which what is asked for later would not."""
        return not all(is_pinned(self._requests[position]) for position in part)

    def _gap(self, *, whole: bool) -> None:
        """Answers were left out: they are asked for again, but not for ever."""
        self._gaps += 1
        if whole or self._gaps > MOST_GAPS:
            raise RPCInvalidResponse(
                f"{redact(self._url)} left out answers to a batch.",
                hint="Check the RPC URL; something between us and the node may lose them.",
            )

    async def _slow_down(self, *, whole: bool) -> None:
        """A part was served and the rest is over the rate limit: it is asked for a little later."""
        if whole or self._waited > RATE_PATIENCE:
            raise rate_limited(self._url)
        await asyncio.sleep(self._pause)
        self._waited += self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def refusal_of(reply: Reply, count: int) -> Told | None:
    """Why a batch was not served at all; a server in trouble says nothing of batches."""
    if reply.status == TOO_LARGE:
        return Told(Limit.BATCH)
    refusal = batch_refusal(reply.document, count)
    trouble = reply.status >= SERVER_ERRORS and refusal is not None and not refusal.clear
    return None if trouble else refusal
