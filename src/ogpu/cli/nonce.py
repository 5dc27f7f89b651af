"""`ogpu nonce`: an account's nonces, and mending them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import Address, Looking, address_of
from ogpu.cli.keys import signer_of
from ogpu.cli.options import Place, Signing, command
from ogpu.cli.output import facts, show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, read, send

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def nonce() -> None:
    """An account's nonces, and mending them."""


@app.command("info", short_help="Show an account's nonces.")
@command
def info(how: Looking, address: Address = None, journal: Place = None) -> None:
    """Show what the chain and the journal know of an account's nonces."""
    found = _info(how, address_of(address, how.role), journal)
    if how.as_json:
        show_json(found)
        return
    cached = "none" if found["cached_nonce"] is None else str(found["cached_nonce"])
    pairs = [
        ("account", found["address"]),
        ("mined", str(found["mined_nonce"])),
        ("with pending", str(found["pending_nonce"])),
        ("in the journal", cached),
        ("waiting", f"{found['pending_count']} transactions"),
    ]
    show(facts(pairs))
    if found["has_pending"]:
        say("`ogpu tx ls --state pending` lists ours; `ogpu nonce fix` replaces what is stuck.")


@app.command("fix", short_help="Replace what is stuck, and fill gaps.")
@command
def fix(
    how: Signing,
    force: Annotated[bool, typer.Option("--force", help="Replace also what is still waited for.")] = False,
) -> None:
    """Replace stuck transactions of an account by empty ones, and fill gaps. What a program still waits for
    is left alone, and said. The client's key signs unless --role says otherwise.
    """
    if how.dry_run:
        found = _info(how, signer_of(how, "client").address, how.journal)
        if how.as_json:
            show_json({"dry_run": True, **found})
        else:
            say(
                f"{found['pending_count']} transactions of {found['address']} wait, from nonce "
                f"{found['mined_nonce']} on; each would get an empty one in its place."
            )
        return
    what = "Replace stuck transactions by empty ones"
    sent = send(how, Act(what, lambda client, _: client.fix_nonce(force=force), "client"))
    if how.as_json:
        show_json({"address": sent.sender, "next_nonce": sent.result})
    else:
        say(f"The next nonce of {sent.sender} is {sent.result}.")


@app.command("reset", short_help="Forget the remembered nonce.")
@command
def reset(how: Looking, address: Address = None, journal: Place = None) -> None:
    """Forget the next nonce of an account that the journal remembers; the chain is asked again then."""
    wanted = address_of(address, how.role)

    read(how, lambda client: client.reset_nonce_cache(wanted), journal=journal)
    if how.as_json:
        show_json({"address": wanted})
    else:
        say(f"The remembered nonce of {wanted} is forgotten.")


def _info(how: Looking | Signing, address: str, journal: str | None) -> dict[str, Any]:
    async def work(client: AsyncClient) -> dict[str, Any]:
        return await client.get_nonce_info(address)

    return read(how, work, journal=journal)
