"""The command `ogpu`: its commands, and how errors are shown."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

import ogpu
from ogpu.cli import demo, down, key, tx, up
from ogpu.cli.screen import say
from ogpu.errors import ConfigurationError, InvalidInput, OGPUError

EXIT_FAILED = 1
EXIT_USAGE = 2  # wrong options or settings, as shells have it

app = typer.Typer(
    name="ogpu",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: quicker, and the same on every terminal
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and keys may be among them
)
app.command("up", short_help="Start a whole network on this machine.")(up.up)
app.command("down", short_help="Stop a network that `ogpu up` started.")(down.down)
app.command("demo", short_help="Send real work through a network, and check it.")(demo.demo)
app.add_typer(key.app, name="key", short_help="Keep private keys in encrypted files.")
app.add_typer(tx.app, name="tx", short_help="Look at transactions, and mend them.")


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
        app()
    except (ConfigurationError, InvalidInput) as error:
        return _failed(error, EXIT_USAGE)
    except OGPUError as error:
        return _failed(error, EXIT_FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(OGPUError(f"{where}{error.strerror or error}."), EXIT_FAILED)
    return os.EX_OK


def _failed(error: OGPUError, code: int) -> int:
    say(f"Error: {error.message}", err=True)
    if error.hint:
        say(error.hint, err=True)
    return code
