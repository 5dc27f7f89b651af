"""`ogpu up`: the whole network on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.options import AsJSON, NetworkFile, command, network_file_of
from ogpu.cli.output import show, show_json
from ogpu.cli.screen import logging_to, report, say
from ogpu.networks import LOCAL_CHAIN_ID, PUBLIC_NETWORKS

if TYPE_CHECKING:
    from ogpu.localnet.network import Options


class PublicName(StrEnum):
    """The networks that a local one can stand in for."""

    testnet = "testnet"
    mainnet = "mainnet"


@dataclass(frozen=True)
class Shape:
    """What kind of network is started, and where."""

    network_file: NetworkFile = None
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background; `ogpu down` stops it.")] = (
        False
    )
    chain_id: Annotated[
        int | None,
        typer.Option(
            "--chain-id", min=1, max=2**63 - 1, metavar="N", help=f"The chain id. Default: {LOCAL_CHAIN_ID}."
        ),
    ] = None
    block_time: Annotated[
        float | None,
        typer.Option(
            "--block-time",
            min=0.1,
            max=3600,
            metavar="S",
            help="Seconds a block. Default: one a transaction.",
        ),
    ] = None
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65533,
            metavar="N",
            help="The node's port; content gets N+1, management N+2. Default: free ports.",
        ),
    ] = None
    providers: Annotated[
        int, typer.Option("--providers", min=1, max=50, metavar="N", help="How many providers run.")
    ] = 1
    handlers: Annotated[
        list[Path] | None,
        typer.Option(
            "--handlers",
            metavar="FILE.py",
            exists=True,
            dir_okay=False,
            help="A file with handlers (ogpu.service); may be repeated. Default: the examples.",
        ),
    ] = None
    as_: Annotated[
        PublicName | None,
        typer.Option("--as", help="Take this network's name and chain id: programs for it run here."),
    ] = None
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", file_okay=False, help="Keep chain and content over restarts."),
    ] = None
    no_provider: Annotated[bool, typer.Option("--no-provider", help="Run no provider.")] = False

    def options(self) -> Options:
        """The same in terms of the library."""
        from ogpu.localnet.network import Options

        if self.as_ is not None and self.chain_id is not None:
            raise typer.BadParameter("--chain-id and --as exclude each other: --as takes that network's id.")
        public = PUBLIC_NETWORKS[self.as_.value] if self.as_ else None
        return Options(
            network_file=network_file_of(self.network_file),
            name=public.name if public else "local",
            chain_id=public.chain_id if public else self.chain_id or LOCAL_CHAIN_ID,
            block_time=self.block_time,
            port=self.port,
            providers=self.providers,
            handlers=tuple(self.handlers or ()),
            state=self.state,
            run_providers=not self.no_provider,
            page_at_once=sys.stdout.isatty() and not self.detach,
        )


@command
def up(shape: Shape, as_json: AsJSON = False) -> None:
    """Start a whole network on this machine: a node, the contracts, a content service, a management API with
    a page, and a provider that runs handlers. Ctrl+C stops all of it.
    """
    options = shape.options()
    if shape.detach:
        from ogpu.localnet.detached import start_detached

        begun = start_detached(options)
        if as_json:
            _show_running(options, begun.process, begun.log)
        else:
            say(begun.told())
        return
    from ogpu.localnet.foreground import run_in_foreground
    from ogpu.localnet.signals import Stopped

    def ready(lines: list[str]) -> None:
        if as_json:
            _show_running(options, os.getpid(), None)
        else:
            show(lines)

    def event(line: str) -> None:
        report(line, err=as_json)  # stdout is for the document then

    try:
        with logging_to(event):
            run_in_foreground(options, ready, event)
    except Stopped as stopped:
        raise typer.Exit(128 + stopped.number) from None


def _show_running(options: Options, process: int, log: Path | None) -> None:
    """What runs, for programs; the keys are in the network file."""
    file = options.network_file
    named = {"network_file": str(file), "name": options.name, "chain_id": options.chain_id}
    show_json({**named, "process": process, "log": log})
