"""`ogpu agent`: let others act for a client or a master."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.accounts import Address, Looking, address_of
from ogpu.cli.exits import Exit
from ogpu.cli.options import Reading, Sending, command
from ogpu.cli.output import show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, done, read, send

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's address.", show_default=False)]
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="A client's or master's address.", show_default=False)
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def agent() -> None:
    """Let others act for a client or a master. An agent signs with --role agent."""


@app.command("set", short_help="Let an agent act for you.")
@command
def set_(how: Sending, agent: Agent) -> None:
    """Let an agent act for whoever signs: --role client or --role master."""
    _set(how, agent, True)


@app.command("unset", short_help="Let an agent act for you no longer.")
@command
def unset(how: Sending, agent: Agent) -> None:
    """Let an agent no longer act for whoever signs."""
    _set(how, agent, False)


@app.command("check", short_help="Say whether an agent may act for an account.")
@command
def check(how: Reading, account: Account, agent: Agent) -> None:
    """Say whether an agent acts for an account: one that it has named, or for a master the network's default
    agent. The exit code is 0 when it does, else 1.
    """

    async def work(client: AsyncClient) -> tuple[bool, bool]:
        named = await client.terminal.is_agent_of(account, agent)
        return named, await client.terminal.get_is_agent_of(account, agent)

    named, acts = read(how, work)
    if how.as_json:
        show_json({"account": account, "agent": agent, "named": named, "acts": acts or named})
    elif named:
        say(f"{agent} is an agent of {account}.")
    elif acts:
        say(f"{agent} acts for {account} as the network's default agent.")
    else:
        say(f"{agent} does not act for {account}.")
    if not (named or acts):
        raise typer.Exit(Exit.FAILED)


@app.command("ls", short_help="List the agents that were named.")
@command
def ls(
    how: Looking,
    address: Address = None,
    from_block: Annotated[
        int, typer.Option("--from-block", min=0, metavar="N", help="Look at the events from this block on.")
    ] = 0,
) -> None:
    """List the agents that an account has named and not unset, from the chain's events. A long chain takes
    a while: --from-block shortens that.
    """
    show_agents(how, address_of(address, how.role), from_block)


def show_agents(how: Reading, account: str, from_block: int) -> None:
    """Show whom an account lets act for it."""

    async def work(client: AsyncClient) -> list[str]:
        from ogpu.events import AgentSet

        named: dict[str, bool] = {}
        for event in await client.terminal.events(AgentSet, from_block):
            if event.account == account:
                named[event.agent] = event.value
        return [agent for agent, value in named.items() if value]

    found = read(how, work, "Reading events …")
    if how.as_json:
        show_json({"account": account, "agents": found})
    else:
        show(found or [f"{account} has named no agents."])


def _set(how: Sending, agent: str, value: bool) -> None:
    what = f"Let {agent} act for the signer" + ("" if value else " no longer")
    sent = send(
        how, Act(what, lambda client, _: client.terminal.set_agent(agent, value, idempotency_key=how.once))
    )
    said = f"{agent} acts for {sent.sender} {'now' if value else 'no longer'}."
    done(how, said, sent, agent=agent, value=value)
