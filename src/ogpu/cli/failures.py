"""How errors are shown: message and hint as text, or an object as JSON; hints in terms of commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ogpu import errors
from ogpu.cli.amounts import decimal, exact_period
from ogpu.cli.exits import Exit, exit_of
from ogpu.cli.output import document
from ogpu.cli.screen import say
from ogpu.errors import OGPUError

JSON = "--json"


def failed(error: OGPUError) -> Exit:
    """Show an error on stderr; the exit code that the command ends with."""
    code = exit_of(error)
    hint = hint_of(error)
    if wants_json():
        describe(type(error).__name__, error.message, hint, code, error.facts, error.retryable)
    else:
        say(f"Error: {error.message}", err=True)
        if hint:
            say(hint, err=True)
    return code


def describe(
    kind: str,
    message: str,
    hint: str,
    code: Exit,
    facts: Mapping[str, Any] | None = None,
    retryable: bool = False,
) -> None:
    """An error as a JSON object, on stderr."""
    error = {
        "kind": kind,
        "message": message,
        "hint": hint,
        "facts": document(facts or {}),
        "retryable": retryable,
        "exit_code": code.value,
    }
    say(json.dumps({"error": error}), err=True)


def wants_json() -> bool:
    """Whether the command was told to speak JSON; known also when its other options make no sense."""
    arguments = sys.argv[1:]
    return JSON in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def hint_of(error: OGPUError) -> str:
    """What to do, in terms of commands where the library says it in terms of calls."""
    for kind, make in _HINTS.items():
        if isinstance(error, kind):
            try:
                return make(error.facts)
            except KeyError:  # raised where these facts are not known
                break
    return error.hint


def _short(facts: Mapping[str, Any]) -> str:
    return f"{decimal(facts['needed'] - facts['available'], 18)}ogpu"


_HINTS: dict[type[OGPUError], Callable[[Mapping[str, Any]], str]] = {
    errors.InsufficientVaultBalance: lambda facts: (
        f"Deposit at least the rest: `ogpu vault deposit {_short(facts)} --to {facts['account']}`, "
        "with --role for who pays."
    ),
    errors.NotEligible: lambda facts: (
        f"Deposit and lock the rest: `ogpu vault deposit {_short(facts)} --role client` and "
        f"`ogpu vault lock {_short(facts)} --role client`."
    ),
    errors.InvalidExpiry: lambda facts: (
        f"The source takes at most --expires {exact_period(facts['max_expiry_duration'])}."
    ),
    errors.WaitTimeout: lambda facts: (
        f"`ogpu task explain {facts['task']}` says why, `ogpu task wait {facts['task']}` waits on."
    ),
    errors.TransactionUndetermined: lambda _: (
        "It is in the journal: the same command waits on for it, `ogpu tx recover` sends it again."
    ),
    errors.NonceInUse: lambda _: "Let them finish, or replace them too with --force.",
}
