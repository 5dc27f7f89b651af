"""The stream of live changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from ogpu.web.failures import failure, responses
from ogpu.web.limits import Limits, client_key
from ogpu.web.live import Live, Seen, seen_of

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Seats:
    """How many streams are open, in all and to each client address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()

    def full(self, client: str) -> bool:
        """Whether one more would be too many."""
        return (
            self._taken.total() >= self._limits.listeners
            or self._taken[client] >= self._limits.listeners_each
        )

    async def seated(self, client: str, live: Live, seen: Seen | None) -> AsyncIterator[bytes]:
        """A stream that counts while it is read."""
        self._taken[client] += 1
        try:
            async for message in live.stream(seen):
                yield message
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def add_live(router: APIRouter) -> None:
    """The path of the stream."""

    @router.get(
        "/live",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Server-sent events.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **responses(414, 421, 422, 429, 431),
        },
        summary="Live changes, as server-sent events",
        operation_id="live",
        tags=["chain"],
    )
    async def stream(
        request: Request,
        last_event_id: Annotated[
            str | None, Header(max_length=100, description="The `id` of the last message that was read.")
        ] = None,
    ) -> Response:
        """A `change` whenever the index changed: how far it is, and the events and reorganisations since the
        message whose `id` the client had last, at most a hundred (`more` says whether there are others).
        `reset` when the index was made anew: read again what you show. A comment now and then in between.
        """
        seats: Seats = request.app.state.seats
        live: Live = request.app.state.live
        client = client_key(request.client.host if request.client else "")
        if seats.full(client):
            return failure(429, "Too many streams are open.", "Close one.", headers={"Retry-After": "5"})
        messages = seats.seated(client, live, seen_of(last_event_id))
        return StreamingResponse(messages, media_type="text/event-stream", headers=HEADERS)
