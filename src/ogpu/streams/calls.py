"""The call by which a client gives streams of events; `AsyncClient` has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, overload

from ogpu.events import ProtocolEvent
from ogpu.streams.stream import AsyncEventStream
from ogpu.streams.streams import Streams

E = TypeVar("E", bound=ProtocolEvent)


class EventCalls:
    """The protocol's events as they happen, and as they happened."""

    _streams: Streams

    @overload
    def events(
        self,
        kinds: None = None,
        *,
        source: str | Iterable[str] | None = None,
        task: str | Iterable[str] | None = None,
        provider: str | Iterable[str] | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> AsyncEventStream[ProtocolEvent]: ...

    @overload
    def events(
        self,
        kinds: type[E] | Sequence[type[E]],
        *,
        source: str | Iterable[str] | None = None,
        task: str | Iterable[str] | None = None,
        provider: str | Iterable[str] | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> AsyncEventStream[E]: ...

    def events(
        self,
        kinds: type[E] | Sequence[type[E]] | None = None,
        *,
        source: str | Iterable[str] | None = None,
        task: str | Iterable[str] | None = None,
        provider: str | Iterable[str] | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> AsyncEventStream[E] | AsyncEventStream[ProtocolEvent]:
        """The events of the network's contracts, in order, each once: what happens from now on.

        With `from_block` what has happened since that block, and then what happens; with `to_block` it ends
        after that block. `kinds` are classes of `ogpu.events`; a base class such as `VaultMovement` stands
        for all of its kinds. `source`, `task` and `provider` are addresses, one or several each: the events
        of the sources, also those of their tasks and responses; of the tasks; of the providers, also those of
        their responses and what moves in the Vault for them. What events do not carry for that is read.

        `event.removed` says that a reorganisation has taken an event back that was given before.
        `OwnershipTransferred` is that of Nexus, Controller and Terminal; `events` of a source, task or
        response has its own. Raises `InvalidInput`; while it runs, what keeps the chain from being
        read: `RPCUnreachable` when no node answers for half a minute, `WrongChain`, `FinalityBroken` and
        `ClientClosed`.
        """
        return self._streams.stream(kinds, source, task, provider, from_block, to_block)
