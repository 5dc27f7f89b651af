"""The exit codes of all commands, and which error ends with which. Pure."""

from __future__ import annotations

from enum import IntEnum

from ogpu.errors import (
    ConfigurationError,
    IntentUnknown,
    InvalidInput,
    NotConfirmed,
    NotFound,
    OGPUError,
    TransactionUndetermined,
    WaitTimeout,
)


class Exit(IntEnum):
    """How a command ends."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Exit:
        """A code with what it means, as the documentation says it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "It did what it was told."
    FAILED = 1, "It failed; or `config doctor` or `index check` found something wrong."
    USAGE = 2, "Options, files or settings are wrong, or nobody agreed to it; nothing was sent."
    NOT_FOUND = 3, "What was asked for is not there."
    NOT_YET = 4, "It did not happen in time; it still may. The same command can be run again."
    INTERRUPTED = 130, "Ctrl+C, SIGTERM or a closed terminal. What was sent goes on."


def exit_of(error: OGPUError) -> Exit:
    """The exit code of an error."""
    match error:
        case NotConfirmed() | WaitTimeout() | TransactionUndetermined():
            return Exit.NOT_YET
        case ConfigurationError() | InvalidInput():
            return Exit.USAGE
        case NotFound() | IntentUnknown():
            return Exit.NOT_FOUND
    return Exit.FAILED
