"""A local network in the background: started, and found again by its network file."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ogpu.errors import AlreadyRunning, LocalNetworkError
from ogpu.localnet.files import lock_of, writer_of
from ogpu.localnet.foreground import KEYS
from ogpu.localnet.network import Options
from ogpu.localnet.processes import FileLock, terminate
from ogpu.settings import NETWORK_FILE

START_TIMEOUT = 660.0  # seconds; the first start may install anvil
STOP_TIMEOUT = 30.0
POLL = 0.05


@dataclass(frozen=True)
class Begun:
    """A network that runs in the background."""

    options: Options
    process: int
    log: Path

    def told(self) -> str:
        """What to tell of it."""
        named = shlex.quote(str(self.options.network_file))
        return (
            f"The network {self.options.name!r} (chain {self.options.chain_id}) runs in the background, "
            f"process {self.process}.\n"
            f"Its output goes to {self.log}.\n"
            f"Use it: export {NETWORK_FILE}={named}\n"
            f"        {KEYS}\n"
            f"Stop it: ogpu down --network-file {named}"
        )


@dataclass(frozen=True)
class Ended:
    """What was there to stop."""

    told: str
    process: int | None  # that was stopped
    removed: bool  # whether it left a file that was stale


def start_detached(options: Options) -> Begun:
    """Start a network that outlives us, and wait until it is ready."""
    file = options.network_file
    log = file.with_name(file.name + ".log")
    process = _launch(options, log)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _await_ready(process, file, log)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    return Begun(options, process.pid, log)


def _launch(options: Options, log: Path) -> subprocess.Popen[bytes]:
    file = options.network_file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if FileLock(lock_of(file)).held():  # asked first, so that the running one keeps its log
            raise AlreadyRunning(
                f"A local network already runs with the network file {file}.",
                hint="End it first (`ogpu down`), or name another one.",
            )
        output = log.open("wb")
    except OSError as error:
        raise LocalNetworkError(f"Cannot write {error.filename}: {error.strerror}.") from error
    with output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ogpu", "up", *_arguments(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither Ctrl+C nor the terminal's end reaches it
        )


def _await_ready(process: subprocess.Popen[bytes], file: Path, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while writer_of(file) != process.pid:
        if process.poll() is not None:
            raise LocalNetworkError(
                f"The network did not start: {_reason(log, process.returncode)}",
                hint=f"All that it said is in {log}.",
            )
        if time.monotonic() > deadline:
            raise LocalNetworkError(f"The network is not ready after {START_TIMEOUT:g} s; see {log}.")
        time.sleep(POLL)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _arguments(options: Options) -> list[str]:
    """The options as `ogpu up` takes them."""
    arguments = ["--network-file", str(options.network_file), "--providers", str(options.providers)]
    if options.name == "local":
        arguments += ["--chain-id", str(options.chain_id)]
    else:
        arguments += ["--as", options.name]
    if options.block_time is not None:
        arguments += ["--block-time", str(options.block_time)]
    if options.port is not None:
        arguments += ["--port", str(options.port)]
    for handlers in options.handlers:
        arguments += ["--handlers", str(handlers)]
    if options.state is not None:
        arguments += ["--state", str(options.state)]
    if not options.run_providers:
        arguments.append("--no-provider")
    return arguments


def _reason(log: Path, exit_code: int) -> str:
    """The error that a network ended with, and its hint, as it is in its log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    for position in reversed(range(len(lines))):
        if lines[position].startswith("Error: "):
            return " ".join(lines[position:]).removeprefix("Error: ")
    return " ".join(lines[-2:]) or f"it ended with exit code {exit_code} and said nothing."


def stop_detached(file: Path) -> Ended:
    """Stop the network of a network file."""
    lock = FileLock(lock_of(file))
    if not lock.held():
        return _clear(file)
    pid = lock.holder()
    if pid is None:
        raise LocalNetworkError(
            f"A network runs with {file}, but in a process that cannot be found from here.",
            hint="It may just be starting or ending: try again in a moment, where you started it.",
        )
    if not terminate(lock, pid, STOP_TIMEOUT):
        raise LocalNetworkError(f"The network (process {pid}) did not stop within {STOP_TIMEOUT:g} s.")
    return Ended(f"The network of {file} (process {pid}) is stopped.", pid, False)


def _clear(file: Path) -> Ended:
    """Remove what a dead network left; another file is not ours to remove."""
    nothing = Ended(f"No network runs with {file}.", None, False)
    if not file.parent.exists():
        return nothing
    lock = FileLock(lock_of(file))
    lock.acquire(f"A network was just started with {file}.")
    try:
        if not file.exists():
            return nothing
        if writer_of(file) is None:
            raise LocalNetworkError(
                f"{file} is no network file of `ogpu up`; it is left as it is.",
                hint="Name the network file that `ogpu up` told.",
            )
        file.unlink(missing_ok=True)
    finally:
        lock.release()
    return Ended(f"{nothing.told} The file was stale and is removed.", None, True)
