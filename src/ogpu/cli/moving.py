"""The moving line on a terminal that says what goes on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner


class Moving:
    """The line; called with a text it shows that."""

    def __init__(self, live: Live, spinner: Spinner) -> None:
        self._live, self._spinner = live, spinner

    def __call__(self, text: str) -> None:
        from rich.text import Text

        self._spinner.update(text=Text(text))
        self._live.refresh()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take it away meanwhile: what is shown on the same terminal is then whole lines."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start(refresh=True)


@contextlib.contextmanager
def progress(text: str) -> Iterator[Moving | None]:
    """A moving line on a terminal; None where there is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner, console = Spinner("dots", Text(text)), Console(stderr=True)
    # What goes to stdout stays there, where it may be a file.
    with Live(spinner, console=console, transient=True, redirect_stdout=False) as live:
        yield Moving(live, spinner)
