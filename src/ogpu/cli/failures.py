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
    if wants_json():
        say(json.dumps({"error": error_document(error)}), err=True)
    else:
        say(f"Error: {error.message}", err=True)
        if hint := hint_of(error):
            say(hint, err=True)
    return exit_of(error)


def error_document(error: OGPUError) -> dict[str, Any]:
    """An error for programs."""
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": hint_of(error),
        "facts": document(error.facts),
        "retryable": error.retryable,
        "exit_code": exit_of(error).value,
    }


def describe(kind: str, message: str, hint: str, code: Exit) -> None:
    """What is no error of the library as a JSON object of the same fields, on stderr."""
    error = {"kind": kind, "message": message, "hint": hint, "facts": {}, "retryable": False}
    error["exit_code"] = code.value
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
    return in_commands(error.hint)


def in_commands(text: str) -> str:
    """A text of the library with commands in place of the calls that it names."""
    for call, typed in _CALLS.items():
        text = text.replace(call, typed)
    return text


def _short(facts: Mapping[str, Any]) -> str:
    return f"{decimal(facts['needed'] - facts['available'], 18)}ogpu"


_CALLS = {
    "vault.force_release_payment(task)": "`ogpu vault release TASK --role client`",
    "vault.force_release_payment": "`ogpu vault release`",
}
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
