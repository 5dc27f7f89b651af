"""`ogpu master`: control a provider without holding its key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import Address, Looking, address_of, money_of
from ogpu.cli.agent import show_agents
from ogpu.cli.amounts import amount_of, ogpu
from ogpu.cli.options import Sending, command
from ogpu.cli.output import facts, show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, done, read, send

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

Provider = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="The provider's address.", show_default=False)
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def master() -> None:
    """Control a provider without holding its key. The master signs unless --role says otherwise."""


@app.command("show", short_help="Show a master, its provider and its money.")
@command
def show_(how: Looking, address: Address = None) -> None:
    """Show a master: the provider that it is paired with, whether it takes the default agent, its money."""
    wanted = address_of(address, how.role, "master")

    async def work(client: AsyncClient) -> Any:
        return await client.master(wanted).snapshot()

    found = read(how, work)
    if how.as_json:
        show_json(found)
        return
    default = "refused" if found.default_agent_disabled else "taken"
    pairs = [("master", found.address), ("provider", found.provider or "none: not paired")]
    show(facts([*pairs, ("default agent", default), *money_of(found.vault, time.time())]))


@app.command("announce", short_help="Give the master's half of a pairing.")
@command
def announce(
    how: Sending,
    provider: Provider,
    stake: Annotated[
        str,
        typer.Option(
            "--stake", metavar="AMOUNT", help="The signer's coin that becomes the provider's lockup."
        ),
    ] = "0wei",
) -> None:
    """Say that you are a provider's master. They are paired once the provider has said so too, with
    `ogpu provider announce`.
    """
    wei = amount_of(stake, "--stake")
    what = f"Announce the provider {provider}" + (f" and give it a stake of {ogpu(wei)}" if wei else "")
    act = Act(
        what,
        lambda client, _: client.terminal.announce_provider(provider, wei, idempotency_key=how.once),
        "master",
        asks=wei > 0,
    )
    sent = send(how, act)
    paired = read(how, lambda client: client.terminal.master_of(provider)) == sent.sender
    said = f"{provider} is {'paired with' if paired else 'announced by'} its master {sent.sender}."
    done(how, said, sent, provider=provider, stake=wei, paired=paired)
    if not paired and not how.as_json:
        say(f"The other half is the provider's: `ogpu provider announce {sent.sender}`.")


@app.command("remove", short_help="End a pairing.")
@command
def remove(how: Sending, provider: Provider) -> None:
    """End the pairing with a provider. It keeps its stake, and may still answer what it has attempted."""
    act = Act(
        f"End the pairing with {provider}",
        lambda client, _: client.terminal.remove_provider(provider, idempotency_key=how.once),
        "master",
        asks=True,
    )
    done(how, f"{provider} is paired no longer.", send(how, act), provider=provider)


@app.command("drop", short_help="Tell a provider to drop a source's container.")
@command
def drop(
    how: Sending,
    provider: Provider,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The source's address.", show_default=False)
    ],
) -> None:
    """Tell a provider to drop a source's container. It is a signal, and changes nothing on chain."""
    act = Act(
        f"Tell {provider} to drop the container of {source}",
        lambda client, _: client.terminal.remove_container(provider, source, idempotency_key=how.once),
        "master",
    )
    done(how, f"{provider} is told to drop {source}.", send(how, act), provider=provider, source=source)


@app.command("default-agent", short_help="Take or refuse the network's default agent.")
@command
def default_agent(
    how: Sending,
    refuse: Annotated[bool, typer.Option("--refuse/--take", help="Whether to refuse it.")],
) -> None:
    """Refuse the network's default agent, or take it again."""
    act = Act(
        f"{'Refuse' if refuse else 'Take'} the network's default agent",
        lambda client, _: client.terminal.set_default_agent_disabled(refuse, idempotency_key=how.once),
        "master",
    )
    said = f"The default agent {'does not act' if refuse else 'acts'} for the signer."
    done(how, said, send(how, act), refused=refuse)


@app.command("agents", short_help="List the agents that were named.")
@command
def agents(
    how: Looking,
    address: Address = None,
    from_block: Annotated[
        int, typer.Option("--from-block", min=0, metavar="N", help="Look at the events from this block on.")
    ] = 0,
) -> None:
    """List the agents that an account has named and not unset, from the chain's events. A long chain takes
    a while: --from-block shortens that.
    """
    show_agents(how, address_of(address, how.role, "master"), from_block)
