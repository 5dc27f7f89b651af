"""The process that runs handlers for a pool: it loads the files, then does one task after another.

Commands and results pass over one socket, so a handler may do what it likes to the standard streams.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import NoReturn

from ogpu.errors import HandlerError, HandlerFailed
from ogpu.service.calls import call, original_process_only, parse_input
from ogpu.service.channel import read_frame, write_frame
from ogpu.service.loading import load_files
from ogpu.service.registry import Registry


def run_worker(channel: int) -> NoReturn:
    """Serve the pool at the other end of `channel`; ends the process, whatever happens."""
    status = 1
    try:
        os.set_inheritable(channel, False)
        _print_by_lines()
        status = _serve(channel)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        status = 0  # the pool is gone
    except SystemExit as stop:
        status = _exit_code(stop)
    finally:
        _flush()
        os._exit(status)  # sys.exit would wait for threads that a handler left running


def _serve(channel: int) -> int:
    setup, _ = read_frame(channel)
    try:
        registry = load_files(setup["files"])
    except HandlerError as error:
        _flush()
        write_frame(channel, _failure(error))
        return 1
    _flush()
    timeouts = {name: handler.timeout for name, handler in registry.handlers.items()}
    write_frame(channel, {"handlers": timeouts, "pid": os.getpid()})
    while True:
        header, body = read_frame(channel)
        answer, payload = _task(registry, header["function"], body, setup["max_result"])
        _flush()
        spoilt = _streams_closed()
        write_frame(channel, answer | {"last": spoilt}, payload)
        if spoilt:
            return 0


def _task(registry: Registry, name: str, body: bytes, limit: int) -> tuple[dict[str, object], bytes]:
    handler = registry.get(name)
    try:
        with original_process_only():
            result = call(handler, parse_input(handler, body))
        if len(result) > limit:
            raise HandlerFailed(
                f"The result of {name!r} is {len(result)} bytes of JSON; the limit is {limit}.",
                facts={"function": name, "size": len(result), "limit": limit},
            )
    except HandlerError as error:
        return _failure(error), b""
    return {}, result


def _failure(error: HandlerError) -> dict[str, object]:
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "facts": error.facts,
    }


def _print_by_lines() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # a handler may close or replace them
            stream.flush()


def _streams_closed() -> bool:
    """Whether a handler closed standard output or error, so that the next one's prints would fail."""
    try:
        for descriptor in (1, 2):
            os.fstat(descriptor)
        return bool(sys.stdout.closed or sys.stderr.closed)
    except (AttributeError, OSError):
        return True


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return (stop.code or 0) & 0xFF
    sys.stderr.write(f"{stop.code}\n")
    return 1
