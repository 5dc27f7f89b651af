"""Processes that are killed for real, started in milliseconds from a server that has imported everything."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import pytest

P = ParamSpec("P")

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds
PR_SET_PDEATHSIG = 1  # prctl(2)
PRELOADED = [
    "pytest",  # when it is __main__ here, each child imports it
    "aiohttp",
    "coincurve",
    "eth_abi",
    "eth_account",
    "orjson",
    "platformdirs.unix",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.asyncio",
    "sqlite3",
    "stringprep",
    "encodings.idna",
    "ogpu.client",
    "ogpu.sync",
    "tests.support.crash",
    "tests.support.crashing",
    "tests.support.stage",
]


class ChildFailed(AssertionError):
    """A child raised; its traceback is the message."""


class ChildEnded(AssertionError):
    """A child ended before it said anything more."""


class Child:
    """A process of ours. Its first argument is its end of the pipe; whatever it sends, `receive` returns."""

    def __init__(self, process: ForkServerProcess, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        assert process.pid
        self.pid = process.pid

    def send(self, message: Any) -> None:
        """Give the child a message."""
        self._pipe.send(message)

    def receive(self, timeout: float = PATIENCE) -> Any:
        """The child's next message; `ChildFailed` when it raised, `ChildEnded` when it is gone."""
        assert self._pipe.poll(timeout), f"the child said nothing within {timeout:g} s"
        try:
            kind, message = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise ChildEnded(f"the child ended, exit code {self.wait()}") from None
        if kind == "failure":
            raise ChildFailed(message)
        return message

    def said_more(self, timeout: float = 0.0) -> bool:
        """Whether `receive` would return or raise by then."""
        return self._pipe.poll(timeout)

    def everything(self, timeout: float = PATIENCE) -> list[Any]:
        """What the child has sent or sends until it ends, however it ends."""
        said = []
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ChildEnded):
            while True:
                said.append(self.receive(deadline - time.monotonic()))
        return said

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGSTOP, and wait until it stands."""
        self._signal(signal.SIGSTOP)
        status = Path(f"/proc/{self.pid}/stat")
        while status.read_text().rpartition(") ")[2][0] not in "TtZX":
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit code, once the child has ended; minus the signal's number when one killed it."""
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"the child has not ended within {timeout:g} s"
        return code

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Talk:
    """A child's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def say(self, message: Any) -> None:
        self._pipe.send(("message", message))

    def hear(self, timeout: float = PATIENCE) -> Any:
        assert self._pipe.poll(timeout), "the parent said nothing"
        return self._pipe.recv()


def die() -> None:
    """`kill -9` of the process that calls this."""
    os.kill(os.getpid(), signal.SIGKILL)


def started(target: Callable[Concatenate[Talk, P], object], *args: P.args, **kwargs: P.kwargs) -> Child:
    """Run `target(talk, …)`, a function of a module, in a process of its own; its result is sent last."""
    ours, theirs = multiprocessing.Pipe()
    surroundings = dict(os.environ), os.getcwd()
    process = _context().Process(target=_run, args=(theirs, surroundings, target, args, kwargs), daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours)


@contextlib.contextmanager
def child(
    target: Callable[Concatenate[Talk, P], object], *args: P.args, **kwargs: P.kwargs
) -> Iterator[Child]:
    """The same, killed at the end when it still runs."""
    running = started(target, *args, **kwargs)
    try:
        yield running
    finally:
        running.kill()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # the new server ignores our sys.path
        forkserver.ensure_running()
    return context


def _run(
    pipe: Connection,
    surroundings: tuple[dict[str, str], str],
    target: Callable[..., object],
    args: Any,
    kwargs: Any,
) -> None:
    _end_with_the_server()
    environment, folder = surroundings  # the server has those of its start
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        pipe.send(("message", target(Talk(pipe), *args, **kwargs)))
    except BaseException:  # the parent raises it
        pipe.send(("failure", traceback.format_exc()))
        raise


def _end_with_the_server() -> None:
    """The server ends when the tests do, however they end; then so do we, even stopped."""
    os.close(vars(forkserver._forkserver)["_forkserver_alive_fd"])  # while we held it, it would not end
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            die()
