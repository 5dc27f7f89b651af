"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ogpu import settings
from ogpu.errors import InvalidInput

NetworkFile = Annotated[
    Path | None,
    typer.Option(
        "--network-file",
        metavar="PATH",
        help="The network file, by which programs find the network. "
        "Default: local.json in your state folder.",
    ),
]


def network_file_of(option: Path | None) -> Path:
    """The network file that a command means, as an absolute path."""
    path = option if option is not None else settings.state_folder() / "local.json"
    try:
        return path.expanduser().resolve()  # one name for one file, so that one lock guards it
    except (RuntimeError, OSError) as error:
        raise InvalidInput(f"The network file {path} cannot be meant: {error}.") from error
