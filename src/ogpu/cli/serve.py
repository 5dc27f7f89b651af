"""`ogpu serve`: the management API and the page, over an index of the network."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.options import AsJSON, NetworkName, command
from ogpu.cli.output import show_json
from ogpu.cli.running import carried_out
from ogpu.cli.screen import report, say

if TYPE_CHECKING:
    from ogpu.networks import Network
    from ogpu.web.limits import Limits
    from ogpu.web.served import Served

PORT = 8560


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and whom it lets read."""

    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address that it listens at.")
    ] = "127.0.0.1"
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="The port; 0 is a free one.")
    ] = PORT
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name that it goes by, beside loopback's; may be repeated. A server on another address "
            "takes any name unless one is given.",
        ),
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="A site whose pages may read the API, such as https://example.org, or *; may be repeated. "
            "Default: none.",
        ),
    ] = None
    network_file: Annotated[
        Path | None, typer.Option("--network-file", hidden=True, help="The network, whatever else is set.")
    ] = None
    inherited: Annotated[
        int | None, typer.Option("--socket", hidden=True, help="An open file that listens already.")
    ] = None


@dataclass(frozen=True)
class Bounds:
    """What a server allows."""

    rate_limit: Annotated[
        float,
        typer.Option(
            "--rate-limit", min=0, metavar="N", help="Requests a second of a client address; 0: any number."
        ),
    ] = 100.0
    max_url: Annotated[
        int, typer.Option("--max-url", min=64, max=16384, metavar="BYTES", help="The longest URL.")
    ] = 2048
    max_body: Annotated[
        int,
        typer.Option("--max-body", min=0, metavar="BYTES", help="The largest request body; none is read."),
    ] = 1024
    max_page: Annotated[
        int, typer.Option("--max-page", min=1, max=500, metavar="ROWS", help="The most rows of a page.")
    ] = 500
    max_streams: Annotated[
        int, typer.Option("--max-streams", min=0, metavar="N", help="The most streams of live changes.")
    ] = 200
    max_behind: Annotated[
        int,
        typer.Option(
            "--max-behind", min=0, metavar="BLOCKS", help="How far behind /readyz takes the index for ready."
        ),
    ] = 20
    wait: Annotated[
        float,
        typer.Option(
            "--wait", min=0, max=60, metavar="S", help="How long a task's answer waits for the index."
        ),
    ] = 2.0


@command
def serve(
    listens: Listening,
    allows: Bounds,
    network: NetworkName = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="PLACE",
            help="The index: a file, or a postgresql:// URL. Default: OGPU_INDEX, else a file of yours.",
        ),
    ] = None,
    first_block: Annotated[
        int, typer.Option("--first-block", min=0, metavar="N", help="Where a new index begins.")
    ] = 0,
    no_index: Annotated[
        bool, typer.Option("--no-index", help="Only answer; another process keeps the index.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", hidden=True, help="Make the index of a chain that was wound back anew.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Serve the management API and the page: an index of the network, which can be asked anything.

    It keeps the index in a process beside it. Ctrl+C stops both.
    """
    from ogpu.indexer.place import index_place
    from ogpu.web.served import Served
    from ogpu.web.serving import listening
    from ogpu.web.serving import serve as served_until_stopped

    chosen = _network(listens, network)
    served = Served(
        chosen,
        index_place(chosen, database),
        _limits(allows, fresh=anew),
        hosts=_hosts(listens),
        origins=tuple(listens.allow_origin or ()),
        indexes=not no_index,
        anew=anew,
        first_block=first_block,
    )
    if listens.inherited is None:
        place = listening(listens.host, listens.port)
    else:
        place = socket.socket(fileno=listens.inherited)
    _tell(served, place, as_json=as_json)
    carried_out(served_until_stopped(served, place, lambda line: report(line, err=True)))


def _network(listens: Listening, network: str | None) -> Network:
    from ogpu.networks import load_network_file, resolve_network

    file = listens.network_file
    return resolve_network(network) if file is None else load_network_file(file)


def _limits(allows: Bounds, *, fresh: bool) -> Limits:
    from ogpu.web.limits import Limits

    return Limits(
        rate=allows.rate_limit,
        burst=2 * allows.rate_limit,
        url=allows.max_url,
        body=allows.max_body,
        page=allows.max_page,
        listeners=allows.max_streams,
        behind=allows.max_behind,
        patience=allows.wait,
        fresh=fresh,
    )


def _hosts(listens: Listening) -> tuple[str, ...] | None:
    """The names to go by; None is any."""
    names = tuple(listens.allow_host or ())
    try:
        loopback = ipaddress.ip_address(listens.host).is_loopback
    except ValueError:
        loopback = listens.host == "localhost"
    return names if loopback or names else None


def _tell(served: Served, place: socket.socket, *, as_json: bool) -> None:
    host, port = place.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if as_json:
        show_json(
            {"url": url, "index": served.place.name, "network": served.network.name, "process": os.getpid()}
        )
        return
    say(f"Page: {url}")
    say(f"API: {url}/api/openapi.json")
    say(f"Index: {served.place.name}, of the network {served.network.name!r}")
    say("Stop it: Ctrl+C")
