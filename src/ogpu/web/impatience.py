"""Connections that end when their client lets them wait, for a request or for an answer to be taken."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ogpu.web.failures import failure
from ogpu.web.limits import Limits


def impatient(limits: Limits) -> type[H11Protocol]:
    """A protocol for uvicorn that keeps to these limits."""

    class Impatient(_Impatient):
        allowed = limits

    return Impatient


class _Impatient(H11Protocol):
    allowed: Limits
    _reading: asyncio.TimerHandle | None = None  # until when a request has to be there
    _writing: asyncio.TimerHandle | None = None  # until when what waits has to be taken

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.allowed.connections:
            transport.abort()
            return
        self._await_request()

    def data_received(self, data: bytes) -> None:
        if self._reading is None and not self._answering():
            self._await_request()
        super().data_received(data)
        if self._answering():
            self._request_is_there()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        self._reading = self.loop.call_later(self.allowed.header_seconds, self.transport.abort)

    def _request_is_there(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _answer_is_taken(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._answering():  # the next request had come already
            self._request_is_there()
        elif self._reading is None and self.conn.trailing_data[0]:  # or a part of it
            self._await_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self.loop.call_later(self.allowed.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._answer_is_taken()

    def timeout_keep_alive_handler(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        super().timeout_keep_alive_handler()
        if waiting:  # closing would wait for a client that does not read
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_there()
        self._answer_is_taken()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        answer = failure(400, "That is no HTTP request that can be read.")
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
