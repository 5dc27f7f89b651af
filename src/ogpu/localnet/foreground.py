"""A local network in this process, until Ctrl+C, a signal or a failure."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Callable

from ogpu.localnet.network import LocalNetwork, Options
from ogpu.localnet.signals import Stopped, StopSignals
from ogpu.settings import NETWORK_FILE

KEYS = """eval "$(ogpu config env)"  (the keys of its accounts)"""


def run_in_foreground(
    options: Options, ready: Callable[[list[str]], None], report: Callable[[str], None]
) -> None:
    """Start, tell what runs where, follow it, and stop everything at the end; failures are raised.

    `ready` is told what runs where, in lines, and `report` shows one of an event. `Stopped` is raised when a
    signal came before all was ready.
    """
    asyncio.run(_until_stopped(options, ready, report))


async def _until_stopped(
    options: Options, ready: Callable[[list[str]], None], report: Callable[[str], None]
) -> None:
    started = time.monotonic()
    running = LocalNetwork(options, report)
    with StopSignals() as signals:
        async with contextlib.AsyncExitStack() as stack:
            await signals.first_of(stack.enter_async_context(running))
            ready(summary(running, options, time.monotonic() - started))
            try:
                await signals.first_of(running.watch())
            except Stopped:
                report("Stopping.")
            except BaseException:
                report("A part of the network failed; stopping the rest.")
                raise


def summary(running: LocalNetwork, options: Options, seconds: float) -> list[str]:
    """What runs where, and how a program gets there."""
    network = running.network
    count = options.providers if options.run_providers else 0
    return [
        f"The network {network.name!r} (chain {network.chain_id}) is up after {seconds:.1f} s.",
        *(f"  {name:<12} {url}" for name, url in running.services.items()),
        *(f"  {name.lower():<12} {address}" for name, address in network.contracts.items()),
        f"  {'providers':<12} {count}" + (f", for {', '.join(running.functions)}" if count else ""),
        *(f"  {'client':<12} {account.address}" for account in network.accounts["client"][:1]),
        f"  {'network file':<12} {options.network_file} (holds the accounts' keys)",
        f"Page: {running.services['management']}",
        f"Use it: export {NETWORK_FILE}={shlex.quote(str(options.network_file))}",
        f"        {KEYS}",
        "Stop it: Ctrl+C",
    ]
