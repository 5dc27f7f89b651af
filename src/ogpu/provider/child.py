"""One worker process as the pool sees it: launched with its files loaded, given tasks, killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ogpu import errors
from ogpu.errors import HandlerCrashed, HandlerError, HandlerFailed, HandlerFileError
from ogpu.provider.output import Output
from ogpu.service.channel import LENGTHS, MAX_HEADER, frame
from ogpu.text import printable

_BROKEN = (asyncio.IncompleteReadError, ConnectionError, ValueError)  # the last when it is no JSON

KILL_GRACE = 3.0  # seconds for the keeper to end everything below it, before it is killed itself


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What every worker of a pool is started with."""

    files: tuple[str, ...]
    environment: Mapping[str, str]
    max_result: int  # bytes of JSON
    log: Callable[[str], None]


class Child:
    """A keeper and its worker; `timeouts` are the handlers' own, by name."""

    def __init__(self, process: asyncio.subprocess.Process, output: Output, setup: WorkerSetup) -> None:
        self._process = process
        self._output = output
        self._setup = setup
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._worker_pid: int | None = None
        self._ending: asyncio.Task[None] | None = None
        self.timeouts: dict[str, float | None] = {}
        self.tasks_begun = 0

    @property
    def alive(self) -> bool:
        """Whether it can take another task."""
        return self._process.returncode is None and self._ending is None

    @classmethod
    async def launch(cls, setup: WorkerSetup) -> Child:
        """Start a worker and wait until its files are loaded; HandlerFileError and the like say why not."""
        ours, theirs = socket.socketpair()
        readable, writable = os.pipe()
        output = Output(readable, setup.log)
        try:
            process = await _spawn(theirs.fileno(), writable, setup.environment)
        except BaseException as error:
            output.close()
            ours.close()
            if isinstance(error, OSError):
                raise HandlerCrashed(f"The handlers' process cannot be started: {error}.") from error
            raise
        finally:
            theirs.close()
            os.close(writable)
        child = cls(process, output, setup)
        try:
            child._reader, child._writer = await asyncio.open_unix_connection(sock=ours)
            await child._load()
        except BaseException:
            await child.end()
            raise
        return child

    async def run(self, function: str, label: str, body: bytes) -> bytes:
        """One task: the result's JSON, or the HandlerError that the worker reports."""
        self.tasks_begun += 1
        self._output.begin(label)
        try:
            header, payload = await self._exchange({"function": function}, body)
        except _BROKEN as error:
            how = await self._how_it_ended()
            raise HandlerCrashed(
                f"The process of the handler {function!r} ended with {how}.",
                facts={"function": function, "ended": how},
            ) from error
        finally:
            self._output.finish()
            self._output.begin("worker")
        if header["last"]:
            self.kill()
        if "error" in header:
            raise _reported(header)
        return payload

    async def ended(self) -> None:
        """Wait until the process has ended, for whatever reason."""
        await self._process.wait()

    def kill(self) -> None:
        """Begin to end the worker and all that it started."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def end(self) -> None:
        """Kill, and wait until nothing is left, also when the waiting task is cancelled."""
        self.kill()
        assert self._ending is not None
        await to_the_end(self._ending)

    async def _load(self) -> None:
        setup = {"files": list(self._setup.files), "max_result": self._setup.max_result}
        try:
            header, _ = await self._exchange(setup, b"")
        except _BROKEN as error:
            how = await self._how_it_ended()
            names = ", ".join(self._setup.files)
            raise HandlerFileError(
                f"The process ended with {how} while it loaded {names}.",
                hint="What it printed is in the log.",
                facts={"files": list(self._setup.files), "ended": how},
            ) from error
        finally:
            self._output.finish()
        if "error" in header:
            raise _reported(header)
        self.timeouts = header["handlers"]
        self._worker_pid = header["pid"]

    async def _exchange(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        self._writer.write(frame(header, body))
        await self._writer.drain()
        head_size, payload_size = LENGTHS.unpack(await self._reader.readexactly(LENGTHS.size))
        if head_size > MAX_HEADER or payload_size > self._setup.max_result:
            raise ConnectionError("what came is no frame")  # a handler wrote to the channel
        head: dict[str, Any] = json.loads(await self._reader.readexactly(head_size))
        return head, await self._reader.readexactly(payload_size)

    async def _how_it_ended(self) -> str:
        with contextlib.suppress(TimeoutError):  # the channel closes a moment before the process ends
            await asyncio.wait_for(self._process.wait(), KILL_GRACE)
        code = self._process.returncode
        await self.end()
        if code is None:
            return "a broken channel"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{name} (is the memory used up?)" if name == "SIGKILL" else name

    async def _end(self) -> None:
        tell(self._process, signal.SIGTERM)  # to the keeper, which kills all below it and then itself
        try:
            await asyncio.wait_for(self._process.wait(), KILL_GRACE)
        except TimeoutError:
            await self._end_hard()
        self._output.close()
        if hasattr(self, "_writer"):
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _end_hard(self) -> None:
        tell(self._process, signal.SIGKILL)
        if self._worker_pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._worker_pid, signal.SIGKILL)
        await self._process.wait()


def tell(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal. asyncio's own way looks first whether the process has ended, and so may take its exit
    code from whoever waits for it, who then is told 255."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def to_the_end(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended, also when the waiting one is cancelled meanwhile; then that is raised."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


async def _spawn(channel: int, output: int, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    # -P: a handler's folder is on its path, the current folder is not
    command = (sys.executable, "-P", "-m", "ogpu.service.keeper", str(channel), str(os.getpid()))
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=dict(environment),
        pass_fds=(channel,),
        start_new_session=True,
    )


_REPORTED: dict[str, type[HandlerError]] = {
    name: getattr(errors, name)
    for name in ("HandlerSignatureError", "HandlerFileError", "HandlerInputInvalid", "HandlerFailed")
}


def _reported(header: dict[str, Any]) -> HandlerError:
    error = _REPORTED.get(header["error"], HandlerFailed)
    return error(printable(header["message"], 8000), hint=header["hint"], facts=header["facts"])
