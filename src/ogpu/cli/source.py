"""`ogpu source`: publish services, and look at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import address_of
from ogpu.cli.amounts import COIN, decimal, exact_period, ogpu
from ogpu.cli.options import Limit, Reading, Sending, command
from ogpu.cli.output import (
    LONGEST_TEXT,
    aligned,
    document,
    facts,
    moment,
    show,
    show_json,
    word,
    words,
)
from ogpu.cli.screen import say
from ogpu.cli.session import Act, done, read, send
from ogpu.cli.terms import Delivery, Given, SourceStatusName, named, source_info
from ogpu.errors import ContentError
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.types import SourceSnapshot

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's address.", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="The terms as YAML or JSON; - is standard input."),
]
AT_ONCE = 16  # metadata documents that are fetched at the same time


@dataclass(frozen=True)
class Service:
    """A service's terms."""

    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What it is called.")] = None
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it does.")
    ] = None
    logo: Annotated[str | None, typer.Option("--logo", metavar="URL", help="A picture of it.")] = None
    cpu: Annotated[
        str | None, typer.Option("--cpu", metavar="URL", help="Its docker-compose file for CPUs.")
    ] = None
    nvidia: Annotated[
        str | None, typer.Option("--nvidia", metavar="URL", help="The same for Nvidia's GPUs.")
    ] = None
    amd: Annotated[str | None, typer.Option("--amd", metavar="URL", help="The same for AMD's GPUs.")] = None
    min_payment: Annotated[
        str | None, typer.Option("--min-payment", metavar="AMOUNT", help="What a task must pay at least.")
    ] = None
    min_lockup: Annotated[
        str | None, typer.Option("--min-lockup", metavar="AMOUNT", help="The stake that a provider needs.")
    ] = None
    max_duration: Annotated[
        str | None, typer.Option("--max-duration", metavar="DURATION", help="How long a task may run: 1h.")
    ] = None
    delivery: Annotated[
        Delivery | None,
        typer.Option("--delivery", help="Whether its client confirms, or the first one wins."),
    ] = None

    def given(self) -> Given:
        """What options say of it, by the fields of a file."""
        images = {"cpu": self.cpu, "nvidia": self.nvidia, "amd": self.amd}
        return named(
            {
                "name": self.name,
                "description": self.description,
                "logo_url": self.logo,
                "images": named(images) or None,
                "min_payment": self.min_payment,
                "min_available_lockup": self.min_lockup,
                "max_expiry_duration": self.max_duration,
                "delivery_method": self.delivery.value if self.delivery else None,
            }
        )


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def source() -> None:
    """Publish services, and look at them."""


@app.command("publish", short_help="Publish a service.")
@command
def publish(service: Service, how: Sending, file: File = None) -> None:
    """Publish a service, from a file, or from options, which win over the file. The client's key signs; its
    stake must cover its active sources.
    """
    info = source_info(file, service.given())
    act = Act(
        f"Publish the source {printable(info.name, 60)!r}",
        lambda client, _: client.publish_source(info, idempotency_key=how.once),
        "client",
    )
    sent = send(how, act)
    if how.as_json:
        show_json({"source": sent.result, "client": sent.sender})
    else:
        say(f"Published source {sent.result}.")


@app.command("update", short_help="Change a service's terms.")
@command
def update(service: Service, how: Sending, source: Source, file: File = None) -> None:
    """Change a service's terms: those of a file, or only those that options name. Tasks that exist keep
    theirs. For its client or an agent, while it is active.
    """
    now = None if file else read(how, lambda client: _present_terms(client, source))
    info = source_info(file, service.given(), now)
    act = Act(
        f"Change the terms of source {source}",
        lambda client, _: client.source(source).update(info, idempotency_key=how.once),
        "client",
    )
    done(how, f"Source {source} has new terms.", send(how, act), source=source)


@app.command("inactivate", short_help="End a service for good.")
@command
def inactivate(how: Sending, source: Source) -> None:
    """End a service for good: it takes no new tasks, and those that exist run on."""
    act = Act(
        f"End source {source} for good",
        lambda client, _: client.source(source).inactivate(idempotency_key=how.once),
        "client",
        asks=True,
    )
    done(how, f"Source {source} is inactive.", send(how, act), source=source)


@app.command("ls", short_help="List services.")
@command
def ls(
    how: Reading,
    client: Annotated[
        str | None, typer.Option("--client", metavar="ADDRESS", help="Only those of this client.")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those of the client's key.")] = False,
    status: Annotated[
        SourceStatusName | None, typer.Option("--status", help="Only those in this state.")
    ] = None,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Fetch their names too, checked against their CIDs.")
    ] = False,
    limit: Limit = 100,
) -> None:
    """List the network's services, newest first."""
    owner = address_of(client, None) if client or mine else None

    async def work(api: AsyncClient) -> tuple[list[SourceSnapshot], list[Any]]:
        found = [
            each
            for each in reversed(await api.sources())
            if (owner is None or each.client == owner) and status in (None, each.status.name.lower())
        ][:limit]
        return found, await _metadata_of(api, found) if metadata else [None] * len(found)

    found, texts = read(how, work)
    if how.as_json:
        show_json([{**document(each), "metadata": text} for each, text in zip(found, texts, strict=True)])
        return
    if not found:
        say("No sources.")
        return
    rows = [("source", "status", "tasks", "providers", "from OGPU", *(["name"] if metadata else []))]
    for each, text in zip(found, texts, strict=True):
        name = printable(str((text or {}).get("name") or (text or {}).get("error") or ""), 40)
        counts = (str(each.task_count), str(each.registrant_count), decimal(each.min_payment, COIN))
        rows.append((each.address, word(each.status), *counts, *([name] if metadata else [])))
    show(aligned(rows, (2, 3, 4)))


@app.command("show", short_help="Show a service.")
@command
def show_(
    how: Reading,
    source: Source,
    metadata: Annotated[
        bool, typer.Option("--metadata/--no-metadata", help="Whether to fetch its name and images.")
    ] = True,
) -> None:
    """Show a service: its terms, who runs it, and what it says of itself, checked against its CID."""

    async def work(api: AsyncClient) -> tuple[SourceSnapshot, Any, list[str]]:
        found = await api.get_source(source)
        (text,) = await _metadata_of(api, [found]) if metadata else [None]
        return found, text, await api.source(source).registrants()

    found, text, registrants = read(how, work)
    if how.as_json:
        show_json({**document(found), "metadata": text, "registrants": registrants})
        return
    show(facts(_facts_of(found, text or {}, registrants)))


def _facts_of(found: SourceSnapshot, text: dict[str, Any], registrants: list[str]) -> list[tuple[str, str]]:
    said = [
        (key, text.get(key)) for key in ("name", "description", "cpu", "nvidia", "amd", "logoUrl", "error")
    ]
    names = {"logoUrl": "logo", "error": "metadata"}
    pairs = [
        ("source", found.address),
        ("status", word(found.status)),
        ("client", found.client),
        *((names.get(key, key), printable(str(value), LONGEST_TEXT)) for key, value in said if value),
        ("hardware", words(found.environments)),
        ("payment", f"from {ogpu(found.min_payment)}"),
        ("stake", f"providers need {ogpu(found.min_available_lockup)}"),
        ("longest task", exact_period(found.max_expiry_duration)),
        ("delivery", word(found.delivery_method)),
        ("tasks", str(found.task_count)),
        ("providers", str(len(registrants))),
        *(("", address) for address in registrants),
    ]
    if found.last_update_time:
        pairs.append(("updated", moment(found.last_update_time)))
    return pairs


async def _metadata_of(client: AsyncClient, sources: list[SourceSnapshot]) -> list[Any]:
    """What sources say of themselves; for one whose document cannot be had, why."""
    import asyncio

    room = asyncio.Semaphore(AT_ONCE)

    async def one(link: str) -> Any:
        async with room:
            try:
                text = await client.content.get_json(link)
            except ContentError as error:
                return {"error": error.message}
        return text if isinstance(text, dict) else {"error": "The metadata is no object."}

    return await asyncio.gather(*(one(each.metadata_url) for each in sources))


async def _present_terms(client: AsyncClient, source: str) -> dict[str, Any]:
    """A source's terms now, in the fields of a file."""
    found = await client.get_source(source)
    text = await client.content.get_json(found.metadata_url)
    text = text if isinstance(text, dict) else {}
    return {
        "name": str(text.get("name", "")),
        "description": str(text.get("description", "")),
        "logo_url": str(text.get("logoUrl", "")),
        "images": {name: str(text.get(name) or "") for name in ("cpu", "nvidia", "amd")},
        "min_payment": found.min_payment,
        "min_available_lockup": found.min_available_lockup,
        "max_expiry_duration": found.max_expiry_duration,
        "delivery_method": found.delivery_method.name.lower(),
    }
