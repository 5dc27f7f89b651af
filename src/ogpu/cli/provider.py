"""`ogpu provider`: run work for others."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import Address, Looking, address_of, money_of
from ogpu.cli.amounts import amount_of, ogpu
from ogpu.cli.options import Sending, command
from ogpu.cli.output import LONGEST_TEXT, facts, show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, done, read, send
from ogpu.errors import InvalidInput
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.tx.state import Receipt

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's address.", show_default=False)]
Task = Annotated[str, typer.Argument(metavar="TASK", help="The task's address.", show_default=False)]
For = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="ADDRESS",
        help="The provider, where its master or agent signs. Default: the signer, or a master's provider.",
    ),
]


class Hardware(StrEnum):
    """The kinds of hardware that a provider registers with."""

    cpu = "cpu"
    nvidia = "nvidia"
    amd = "amd"


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def provider() -> None:
    """Run work for others. The provider signs unless --role says otherwise: master, or agent."""


@app.command("show", short_help="Show a provider, its money and its sources.")
@command
def show_(how: Looking, address: Address = None) -> None:
    """Show a provider: its master, its money, what it says of itself, and the sources it is registered to."""
    wanted = address_of(address, how.role, "provider")

    async def work(client: AsyncClient) -> Any:
        return await client.provider(wanted).snapshot()

    found = read(how, work)
    if how.as_json:
        show_json(found)
        return
    said = [("base data", found.base_data), ("live data", found.live_data)]
    pairs = [
        ("provider", found.address),
        ("master", found.master or "none: not paired"),
        *((name, printable(text, LONGEST_TEXT)) for name, text in said if text),
        *money_of(found.vault, time.time()),
        ("sources", str(len(found.sources))),
        *(("", source) for source in found.sources),
    ]
    show(facts(pairs))


@app.command("announce", short_help="Give the provider's half of a pairing.")
@command
def announce(
    how: Sending,
    master: Annotated[
        str, typer.Argument(metavar="MASTER", help="The master's address.", show_default=False)
    ],
) -> None:
    """Say who is your master. You are paired once the master has said so too: `ogpu master announce`."""
    act = Act(
        f"Announce the master {master}",
        lambda client, _: client.terminal.announce_master(master, idempotency_key=how.once),
        "provider",
    )
    sent = send(how, act)
    paired = read(how, lambda client: client.terminal.master_of(sent.sender)) is not None
    said = f"{sent.sender} {'is paired with' if paired else 'has announced'} its master {master}."
    done(how, said, sent, provider=sent.sender, master=master, paired=paired)
    if not paired and not how.as_json:
        say(f"The other half is the master's: `ogpu master announce {sent.sender}`.")


@app.command("register", short_help="Register to a source, to get its tasks.")
@command
def register(
    how: Sending,
    source: Source,
    env: Annotated[Hardware, typer.Option("--env", help="The hardware that runs it.")],
    provider: For = None,
) -> None:
    """Register a provider to a source with one kind of hardware that the source offers. The provider, its
    master or the master's agent signs.
    """
    from ogpu.types import Environment

    kind = Environment[env.value.upper()]

    async def do(client: AsyncClient, sender: str) -> tuple[str, Receipt]:
        who = await _provider(client, sender, provider)
        return who, await client.nexus.register(source, who, kind, idempotency_key=how.once)

    _done_for(how, f"Register to source {source} with {env.value}", do, source=source, environment=env.value)


@app.command("unregister", short_help="Leave a source.")
@command
def unregister(how: Sending, source: Source, provider: For = None) -> None:
    """Take a provider off a source; what it has attempted stays."""

    async def do(client: AsyncClient, sender: str) -> tuple[str, Receipt]:
        who = await _provider(client, sender, provider)
        return who, await client.nexus.unregister(source, who, idempotency_key=how.once)

    _done_for(how, f"Leave source {source}", do, source=source)


@app.command("attempt", short_help="Take a task on, and suggest a price.")
@command
def attempt(
    how: Sending,
    task: Task,
    price: Annotated[
        str, typer.Option("--price", metavar="AMOUNT", help="The suggested price, at most the payment.")
    ],
    provider: For = None,
) -> None:
    """Take a task on for a provider, and suggest a price. On a task whose time is over, it marks it as
    expired and gives the payment back.
    """
    wei = amount_of(price, "--price")

    async def do(client: AsyncClient, sender: str) -> tuple[str, Receipt]:
        who = await _provider(client, sender, provider)
        return who, await client.nexus.attempt(task, who, wei, idempotency_key=how.once)

    _done_for(how, f"Take task {task} for {ogpu(wei)}", do, task=task, payment=wei)


@app.command("respond", short_help="Answer a task that was taken.")
@command
def respond(
    how: Sending,
    task: Task,
    price: Annotated[str, typer.Option("--price", metavar="AMOUNT", help="The price of the answer.")],
    link: Annotated[
        str | None, typer.Option("--link", metavar="URL", help="Where the result is already.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The result as JSON or YAML, to be uploaded."),
    ] = None,
) -> None:
    """Answer a task that was attempted, with a result's link, or with a file that is uploaded first. With the
    provider's own key only. Under first response the first answer is final.
    """
    if (link is None) == (file is None):
        raise InvalidInput("Give the answer as --link or as --file.")
    wei = amount_of(price, "--price")
    value = _result_in(file) if file else None

    async def do(client: AsyncClient, sender: str) -> str:
        from ogpu.content import cid_of, parse_cid, to_json

        data = link
        if data is None:
            client.content.check_shared()
        if data is None and how.dry_run:
            data = client.content.expected_link(parse_cid(cid_of(to_json(value))))
        elif data is None:
            data = await client.content.put_bytes(to_json(value), "result.json", "application/json")
        return await client.provider(sender).submit_response(task, data, wei, idempotency_key=how.once)

    sent = send(how, Act(f"Answer task {task} for {ogpu(wei)}", do, "provider"))
    if how.as_json:
        show_json({"response": sent.result, "task": task, "provider": sent.sender, "payment": wei})
    else:
        say(f"Submitted response {sent.result} to task {task}.")


@app.command("data", short_help="Publish what the provider says of itself.")
@command
def data(
    how: Sending,
    base: Annotated[
        str | None, typer.Option("--base", metavar="TEXT", help="What is so for long: its hardware, say.")
    ] = None,
    live: Annotated[
        str | None, typer.Option("--live", metavar="TEXT", help="How it is now: its load, say.")
    ] = None,
) -> None:
    """Publish what the signer says of itself, or of its present state; everybody can read it."""
    if (base is None) == (live is None):
        raise InvalidInput("Give either --base or --live.", hint="`ogpu provider show` shows what there is.")

    async def do(client: AsyncClient, _: str) -> Receipt:
        if base is not None:
            return await client.terminal.set_base_data(base, idempotency_key=how.once)
        return await client.terminal.set_live_data(live or "", idempotency_key=how.once)

    kind = "live" if base is None else "base"
    sent = send(how, Act(f"Publish {kind} data", do, "provider"))
    done(how, f"{sent.sender} has new {kind} data.", sent, provider=sent.sender, kind=kind)


async def _provider(client: AsyncClient, sender: str, given: str | None) -> str:
    """The provider that is meant: the one given, a paired master's, else the signer."""
    if given is not None:
        return given
    return await client.terminal.provider_of(sender) or sender


def _done_for(how: Sending, what: str, do: Any, **more: object) -> None:
    """Send what a provider, its master or its agent may, and say for which provider it was."""
    from ogpu.cli.session import Sent

    sent = send(how, Act(what, do, "provider"))
    who, receipt = sent.result
    done(
        how, f"Done for {who}: {what[0].lower()}{what[1:]}.", Sent(sent.signer, receipt), provider=who, **more
    )


def _result_in(file: Path) -> Any:
    from ogpu.cli.files import read_document

    return read_document(file).value
