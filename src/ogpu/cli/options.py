"""Options that several commands share, and how a command has a whole group of them."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ogpu import settings
from ogpu.cli.completing import networks
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
NetworkName = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="testnet, mainnet, local, or a network file's name. Default: the default network.",
        autocompletion=networks,
    ),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PLACE",
        help="A file, or a postgresql:// URL. Default: OGPU_JOURNAL, else the file in your state folder.",
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="For programs: JSON on one line, amounts in wei.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="PATH", help="A file with the password. Default: the terminal is asked."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="At most so many.")]


class Role(StrEnum):
    """Whose key it is; each has its variables."""

    client = "client"
    provider = "provider"
    master = "master"
    agent = "agent"


@dataclass(frozen=True)
class Reading:
    """Where a command reads, and how it shows that."""

    network: NetworkName = None
    as_json: AsJSON = False


@dataclass(frozen=True)
class Signing(Reading):
    """Who signs what a command sends, and where that is recorded."""

    role: Annotated[
        Role | None,
        typer.Option("--role", help="Whose key signs: that of {ROLE}_PRIVATE_KEY or {ROLE}_KEYSTORE."),
    ] = None
    key_from: Annotated[
        Path | None,
        typer.Option("--key-from", metavar="FILE", help="A keystore whose key signs, instead of a role's."),
    ] = None
    password_file: PasswordFile = None
    journal: Place = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent, by whom, and its cost.")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")] = False


@dataclass(frozen=True)
class Sending(Signing):
    """How a command sends one transaction."""

    once: Annotated[
        str | None,
        typer.Option(
            "--once", metavar="KEY", help="A name for it: whatever happens, it is done once by that name."
        ),
    ] = None


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters of a group's type, such as `how: Reading`, become the group's options."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    shared: list[inspect.Parameter] = []  # after its own, as help is read from the top
    groups: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            shared += _options_of(hints[name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[name], kind=kind))

    parameters += shared

    @functools.wraps(function)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        function(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    return run


@functools.cache
def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]


def network_file_of(option: Path | None) -> Path:
    """The network file that a command means, as an absolute path."""
    path = option if option is not None else settings.state_folder() / "local.json"
    try:
        return path.expanduser().resolve()  # one name for one file, so that one lock guards it
    except (RuntimeError, OSError) as error:
        raise InvalidInput(f"The network file {path} cannot be meant: {error}.") from error
