"""What the commands show: lines of text, whatever becomes of the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import typer


def say(line: str, *, err: bool = False) -> None:
    """Show a line; when nobody reads it any more, the command ends as if it were told to."""
    try:
        typer.echo(line, err=err)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())
        os.kill(os.getpid(), signal.SIGTERM)
    except OSError:  # the terminal is gone, or the disk is full
        pass


def report(line: str, *, err: bool = False) -> None:
    """Show a line of what happens, with the time."""
    say(f"{time.strftime('%H:%M:%S')}  {line}", err=err)


class _Lines(logging.Handler):
    """Log records as lines, without tracebacks."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        from ogpu.text import printable

        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += f": {record.exc_info[1]!r}"
        self._report(f"{record.name}: {printable(text, 500)}")


@contextlib.contextmanager
def logging_to(report: Callable[[str], None]) -> Iterator[None]:
    """Give what libraries warn of to `report`."""
    handler = _Lines(report)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
