"""The watch over secrets that all tests are under sees them wherever they are shown."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import pytest
from _pytest.logging import LogCaptureHandler
from tests.support import canaries
from tests.support.canaries import TOKEN, keep_secret, leaks, secret_url

from ogpu.errors import OGPUError, RPCUnreachable
from ogpu.networks import redact

KEY = "0x" + "5ec7e7ca" * 8


def chained() -> None:
    try:
        raise ValueError(f"http://h/{TOKEN}")
    except ValueError as error:
        try:
            raise RPCUnreachable("It failed.") from error
        except RPCUnreachable:
            return


def noted() -> None:
    error = ValueError("nothing")
    error.add_note(f"seen at {TOKEN}")
    try:
        raise error
    except ValueError:
        OGPUError("It failed.")


def logged() -> None:
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("ogpu.any").debug("it failed", exc_info=True)


def said() -> None:
    subprocess.run(
        [sys.executable, "-c", f"print('{TOKEN[:8]}' + '{TOKEN[8:]}')"], capture_output=True, check=True
    )


SHOWN: dict[str, Callable[[], object]] = {
    "a message": lambda: OGPUError(f"http://h/?k={TOKEN} failed."),
    "a hint": lambda: OGPUError("It failed.", hint=f"Look at {TOKEN.upper()}."),
    "a fact": lambda: OGPUError("It failed.", facts={"key": KEY[2:].upper()}),
    "the cause": chained,
    "a note": noted,
    "a log record": lambda: logging.getLogger("ogpu.any").debug("sent by %s", KEY),
    "another's log record": lambda: logging.getLogger("other").warning(TOKEN),
    "a logged error": logged,
    "a child": said,
}


@pytest.mark.parametrize("how", SHOWN)
def test_a_secret_is_seen(how: str) -> None:
    keep_secret(KEY)
    SHOWN[how]()
    assert leaks()
    assert not leaks()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogCaptureHandler):
            handler.reset()  # this test's report shall not hold it


def test_what_shows_none_is_no_leak() -> None:
    error = RPCUnreachable(f"{redact(secret_url('http://127.0.0.1:1'))} did not answer.")
    logging.getLogger("ogpu.any").warning("it failed: %s", error)
    assert "127.0.0.1:1" in str(error)
    assert not leaks()
    assert canaries.TOKEN in secret_url("http://h")
