"""The command `ogpu`: its commands, and how errors are shown."""

from __future__ import annotations

import io
import sys
from typing import Annotated, cast

import typer

import ogpu
from ogpu.cli import (
    agent,
    config,
    content,
    demo,
    down,
    events,
    index,
    key,
    many,
    master,
    nonce,
    provider,
    serve,
    source,
    tx,
    up,
    vault,
)
from ogpu.cli.exits import Exit
from ogpu.cli.failures import describe, failed, wants_json
from ogpu.cli.screen import say
from ogpu.errors import OGPUError

# Typer has its own copy of click in newer versions, and gives no other way to its errors.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="ogpu",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: quicker, and the same on every terminal
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and keys may be among them
)
app.command("up", short_help="Start a whole network on this machine.")(up.up)
app.command("down", short_help="Stop a network that `ogpu up` started.")(down.down)
app.command("demo", short_help="Send real work through a network, and check it.")(demo.demo)
app.command("serve", short_help="Serve an index of the network: an API and a page.")(serve.serve)
app.command("events", short_help="Show what happens on the network.")(events.events)
app.add_typer(source.app, name="source", short_help="Publish services, and look at them.")
app.add_typer(many.app, name="task", short_help="Have work done, and get its results.")
app.add_typer(vault.app, name="vault", short_help="Balance, stake and earnings.")
app.add_typer(provider.app, name="provider", short_help="Run work for others.")
app.add_typer(master.app, name="master", short_help="Control a provider without its key.")
app.add_typer(agent.app, name="agent", short_help="Let others act for you.")
app.add_typer(content.app, name="content", short_help="Store and fetch content, checked.")
app.add_typer(nonce.app, name="nonce", short_help="An account's nonces, and mending them.")
app.add_typer(tx.app, name="tx", short_help="Look at transactions, and mend them.")
app.add_typer(index.app, name="index", short_help="Keep an index of the network, and check it.")
app.add_typer(key.app, name="key", short_help="Keep private keys in encrypted files.")
app.add_typer(config.app, name="config", short_help="Networks and settings, and whether they work.")


def _version(asked: bool) -> None:
    if asked:
        say(f"ogpu {ogpu.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The OpenGPU network from the command line."""


def run() -> int:
    """Run the command; the exit code is 0 when it did what it was told."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack our characters
    try:
        code = app(prog_name="ogpu", standalone_mode=False)
    except UsageError as error:
        return _misused(error)
    except typer.Abort:  # Ctrl+C or Ctrl+D at a question
        say("Nothing was sent.", err=True)
        return Exit.INTERRUPTED
    except OGPUError as error:
        return failed(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return failed(OGPUError(f"{where}{error.strerror or error}."))
    return code if isinstance(code, int) else Exit.OK


def _misused(error: typer.BadParameter) -> Exit:
    """Options that make no sense, as text with the usage, or as JSON."""
    if wants_json():
        describe("UsageError", error.format_message(), "", Exit.USAGE)
    else:
        error.show()
    return Exit.USAGE
