"""`ogpu up`: the whole network on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ogpu.cli.options import NetworkFile, network_file_of
from ogpu.cli.screen import logging_to, report, say
from ogpu.networks import LOCAL_CHAIN_ID, PUBLIC_NETWORKS


class PublicName(StrEnum):
    """The networks that a local one can stand in for."""

    testnet = "testnet"
    mainnet = "mainnet"


def up(
    network_file: NetworkFile = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background; `ogpu down` stops it.")
    ] = False,
    chain_id: Annotated[
        int | None,
        typer.Option(
            "--chain-id", min=1, max=2**63 - 1, metavar="N", help=f"The chain id. Default: {LOCAL_CHAIN_ID}."
        ),
    ] = None,
    block_time: Annotated[
        float | None,
        typer.Option(
            "--block-time",
            min=0.1,
            max=3600,
            metavar="S",
            help="Seconds a block. Default: one a transaction.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65533,
            metavar="N",
            help="The node's port; content gets N+1, management N+2. Default: free ports.",
        ),
    ] = None,
    providers: Annotated[
        int, typer.Option("--providers", min=1, max=50, metavar="N", help="How many providers run.")
    ] = 1,
    handlers: Annotated[
        list[Path] | None,
        typer.Option(
            "--handlers",
            metavar="FILE.py",
            exists=True,
            dir_okay=False,
            help="A file with handlers (ogpu.service); may be repeated. Default: the examples.",
        ),
    ] = None,
    as_: Annotated[
        PublicName | None,
        typer.Option("--as", help="Take this network's name and chain id: programs for it run here."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", file_okay=False, help="Keep chain and content over restarts."),
    ] = None,
    no_provider: Annotated[bool, typer.Option("--no-provider", help="Run no provider.")] = False,
) -> None:
    """Start a whole network on this machine: a node, the contracts, the content and management services,
    and a provider that runs handlers. Ctrl+C stops all of it.
    """
    from ogpu.localnet.network import Options

    if as_ is not None and chain_id is not None:
        raise typer.BadParameter("--chain-id and --as exclude each other: --as takes that network's id.")
    public = PUBLIC_NETWORKS[as_.value] if as_ else None
    options = Options(
        network_file=network_file_of(network_file),
        name=public.name if public else "local",
        chain_id=public.chain_id if public else chain_id or LOCAL_CHAIN_ID,
        block_time=block_time,
        port=port,
        providers=providers,
        handlers=tuple(handlers or ()),
        state=state,
        run_providers=not no_provider,
    )
    if detach:
        from ogpu.localnet.detached import start_detached

        say(start_detached(options))
        return
    from ogpu.localnet.foreground import run_in_foreground
    from ogpu.localnet.signals import Stopped

    try:
        with logging_to(report):
            run_in_foreground(options, say, report)
    except Stopped as stopped:
        raise typer.Exit(128 + stopped.number) from None
