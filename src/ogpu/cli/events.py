"""`ogpu events`: what happens on the network, a line an event."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.amounts import ogpu
from ogpu.cli.completing import event_kinds
from ogpu.cli.options import Reading, command
from ogpu.cli.output import document, moment, show_json, word
from ogpu.cli.running import carried_out
from ogpu.cli.screen import say
from ogpu.errors import InvalidInput
from ogpu.text import printable, shown

if TYPE_CHECKING:
    from ogpu.events import ProtocolEvent

AMOUNTS = ("amount", "suggested_payment")


@dataclass(frozen=True)
class Wanted:
    """Which events are shown."""

    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only such, as TaskPublished. This and the next three can be given several times.",
            autocompletion=event_kinds,
        ),
    ] = None
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="SOURCE", help="Only of this source, its tasks and responses."),
    ] = None
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="TASK", help="Only of this task and its responses.")
    ] = None
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider", metavar="PROVIDER", help="Only of this provider, its responses and its money."
        ),
    ] = None
    from_block: Annotated[
        int | None,
        typer.Option("--from-block", min=0, metavar="N", help="Begin with that block. Default: now."),
    ] = None
    to_block: Annotated[
        int | None,
        typer.Option("--to-block", min=0, metavar="N", help="End after that block. Default: never."),
    ] = None


@command
def events(wanted: Wanted, how: Reading) -> None:
    """Show what happens on the network, a line an event, until Ctrl+C; with --from-block also what has
    happened. What a reorganisation takes back is shown again, as removed.
    """
    kinds = _kinds(wanted.kind)

    async def watching() -> None:
        from ogpu.aio import AsyncClient

        client = AsyncClient(how.network)  # not opened: to look is not to send
        try:
            stream = client.events(
                kinds,
                source=wanted.source or None,
                task=wanted.task or None,
                provider=wanted.provider or None,
                from_block=wanted.from_block,
                to_block=wanted.to_block,
            )
            async for event in stream:
                if how.as_json:
                    show_json(_described(event))
                else:
                    say(_line(event))
        finally:
            await client.close()

    carried_out(watching())


def _kinds(names: list[str] | None) -> list[type[ProtocolEvent]] | None:
    from ogpu import events as known

    for name in names or ():
        if name not in event_kinds():
            raise InvalidInput(
                f"--kind: {shown(name)} is no kind of event.", hint=f"There are: {', '.join(event_kinds())}."
            )
    return [getattr(known, name) for name in names] if names else None


def _values(event: ProtocolEvent) -> dict[str, Any]:
    return {
        field.name: getattr(event, field.name)
        for field in fields(event)
        if field.name not in ("place", "removed")
    }


def _described(event: ProtocolEvent) -> dict[str, Any]:
    place = event.place
    values = {
        name: "0x" + value.hex() if isinstance(value, bytes) else value
        for name, value in _values(event).items()
    }
    return {
        "event": type(event).__name__,
        "removed": event.removed,
        "block": place.block_number,
        "block_hash": place.block_hash,
        "block_time": place.timestamp,
        "transaction": place.transaction_hash,
        "log_index": place.log_index,
        "contract": place.contract,
        "values": document(values),
    }


def _line(event: ProtocolEvent) -> str:
    """An event for people: when, where, what, and its values but long ones."""
    place, name = event.place, type(event).__name__
    said = [f"{key} {_text(key, value)}" for key, value in _values(event).items() if key != "source_params"]
    when = moment(place.timestamp or 0)
    return f"{when}  block {place.block_number}  {name}{' removed' * event.removed}  {', '.join(said)}"


def _text(name: str, value: Any) -> str:
    if name in AMOUNTS:
        return ogpu(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return word(value) if isinstance(value, Enum) else printable(str(value), 100)
