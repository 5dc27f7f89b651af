"""`ogpu config`: networks and settings, and whether they work."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ogpu import settings
from ogpu.cli.exits import Exit
from ogpu.cli.options import AsJSON, Place, Reading, command
from ogpu.cli.output import aligned, facts, show, show_json
from ogpu.cli.running import carried_out
from ogpu.cli.screen import say
from ogpu.errors import ConfigurationError, InvalidInput
from ogpu.networks import Network, redact
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.cli.doctor import Finding

OWN_JOURNALS = "local-*.sqlite3"  # in the state folder
LOOPBACK = ("127.0.0.1", "::1", "localhost")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def config() -> None:
    """Networks and settings, and whether they work. Only env prints keys, those of a local network."""


@app.command("show", short_help="Show the settings that commands use.")
@command
def show_(how: Reading, journal: Place = None) -> None:
    """Show which network, node, contracts and services commands use, which keys are set, and where the
    journal is. URLs are shown without what may be secret in them.
    """
    from ogpu.networks import resolve_network

    network = resolve_network(how.network)
    found = {**_network_document(network), "journal": _journal_name(journal), "keys": keys_set()}
    if how.as_json:
        show_json(found)
        return
    file = settings.network_file()
    pairs = [
        ("network", f"{network.name}, chain {network.chain_id}"),
        ("network file", str(file) if file else f"none ({settings.NETWORK_FILE} is not set)"),
        *(("node", url) for url in found["rpc_urls"]),
        *((name.lower(), address) for name, address in network.contracts.items()),
        *((name, found[f"{name}_url"]) for name in ("upload", "gateway", "management")),
        ("journal", found["journal"]),
        *((f"{role} key", variable or "not set") for role, variable in found["keys"].items()),
    ]
    show(facts(pairs))


@app.command("networks", short_help="List the networks that are known.")
@command
def networks(as_json: AsJSON = False) -> None:
    """List the networks that --network can name. The default one has a star."""
    from ogpu.networks import default_network, known_networks

    default = default_network()
    found = [
        {"default": network == default, **_network_document(network)} for network in known_networks().values()
    ]
    if as_json:
        show_json(found)
        return
    rows = [("", "network", "chain", "node")]
    rows += [
        ("*" if one["default"] else "", one["name"], str(one["chain_id"]), one["rpc_urls"][0])
        for one in found
    ]
    show(aligned(rows))


@app.command("env", short_help="Print a local network's keys for a shell to take.")
@command
def env(as_json: AsJSON = False) -> None:
    """Print the keys that a local network made, the first of each role, as lines for a shell: eval "$(ogpu
    config env)"; and a journal for it alone, unless one is set. The network is that of OGPU_NETWORK_FILE; any
    other has no keys to print.
    """
    if sys.stdout.isatty():
        raise InvalidInput(
            "This prints private keys, and standard output is a terminal.",
            hint='Have the shell take them: eval "$(ogpu config env)"',
        )
    network = _local_network()
    found = {settings.ROLE_KEYS[role]: each[0].private_key for role, each in network.accounts.items() if each}
    own, now = _own_journal(network), settings.journal()
    if now is None or Path(now).match(OWN_JOURNALS):  # one that somebody chose stays
        found[settings.JOURNAL] = str(own)
    if as_json:
        show_json({"network": network.name, "variables": found})
    else:
        show(f"export {name}={shlex.quote(key)}" for name, key in found.items())


def _own_journal(network: Network) -> Path:
    """A journal for one local network: names that one before has used are free in it."""
    first = next(each[0].address for each in network.accounts.values() if each)
    return settings.state_folder() / OWN_JOURNALS.replace("*", first[2:14].lower())


def _local_network() -> Network:
    """The network of `ogpu up` that the settings name."""
    from ogpu.networks import load_network_file

    file, hint = settings.network_file(), "Start one with `ogpu up`, and set OGPU_NETWORK_FILE as it says."
    if file is None:
        raise ConfigurationError(f"{settings.NETWORK_FILE} is not set: no local network is named.", hint=hint)
    network = load_network_file(file)
    outside = [url for url in (*network.rpc_urls, *network.ws_urls) if urlsplit(url).hostname not in LOOPBACK]
    if outside or not any(network.accounts.values()):
        why = f"has its node at {redact(outside[0])}" if outside else "made no accounts"
        raise ConfigurationError(f"The network of {file} is not a local one: it {why}.", hint=hint)
    return network


@app.command("doctor", short_help="Check keys, nodes, services, clock and journal.")
@command
def doctor(
    how: Reading,
    journal: Place = None,
    write: Annotated[
        bool, typer.Option("--write", help="Also store a line in the content store, and fetch it.")
    ] = False,
) -> None:
    """Check everything that commands need: keys, nodes, chain id, contracts, money, clock, content store and
    gateways, management service, journal; and say what to do. The exit code is 1 when something fails.
    """
    from ogpu.cli.doctor import findings
    from ogpu.networks import resolve_network
    from ogpu.tx.journal import journal_place

    network, place = resolve_network(how.network), journal_place(journal)
    found: list[Finding] = []

    async def work() -> None:
        async for finding in findings(network, place, write):
            found.append(finding)
            if not how.as_json:
                show(_finding_lines(finding))

    carried_out(work())
    well = all(finding.ok for finding in found)
    if how.as_json:
        show_json({"ok": well, "network": network.name, "findings": found})
    else:
        failed = sum(not finding.ok for finding in found)
        say("All is well." if well else f"{failed} of {len(found)} checks failed.")
    if not well:
        raise typer.Exit(Exit.FAILED)


def _finding_lines(finding: Finding) -> Iterator[str]:
    mark = "FAIL" if not finding.ok else "look" if finding.warning else "ok"
    yield f"{mark:<4}  {finding.check}: {printable(finding.seen, 500)}"
    if finding.todo and mark != "ok":
        yield f"      {printable(finding.todo, 500)}"


def keys_set() -> dict[str, str | None]:
    """The variable that gives each role's key; None where none is set."""
    found: dict[str, str | None] = {}
    for role in settings.ROLE_KEYS:
        names = (settings.ROLE_KEYS[role], settings.ROLE_KEYSTORES[role])
        found[role] = next((name for name in names if settings.variable(name)), None)
    return found


def _journal_name(place: str | None) -> str:
    from ogpu.tx.journal import Journal, journal_place

    return Journal(journal_place(place)).name


def _network_document(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        "chain_id": network.chain_id,
        "rpc_urls": [redact(url) for url in network.rpc_urls],
        "ws_urls": [redact(url) for url in network.ws_urls],
        "contracts": dict(network.contracts),
        "upload_url": redact(network.upload_url),
        "gateway_url": redact(network.gateway_url),
        "management_url": redact(network.management_url),
    }
