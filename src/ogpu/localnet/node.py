"""The node: anvil found on PATH or installed once into the user's cache, started, watched and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ogpu import settings
from ogpu.errors import NodeFailed, NodeMissing, PortTaken
from ogpu.localnet.processes import end_with_parent
from ogpu.provider.child import tell
from ogpu.rpc.transport import RPC
from ogpu.text import printable

ANVIL_VERSION = "1.7.1"
HOST = "127.0.0.1"
GAS_LIMIT = 300_000_000
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0
INSTALL_TIMEOUT = 600.0
READ_SIZE = 4096
LAST_WORDS = 600  # characters
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

WAYS_TO_GET_ONE = (
    "Install Node.js with npm and run the command again (anvil is then installed into your cache), "
    "or install Foundry, which brings anvil, and put it on PATH."
)


async def find_anvil(report: Callable[[str], None]) -> Path:
    """anvil's path: from PATH, else from the user's cache, else installed there through npm."""
    if found := shutil.which("anvil"):
        return Path(found)
    system, machine = _SYSTEMS.get(sys.platform), _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        raise NodeMissing(
            f"anvil is not on PATH, and npm has none for {sys.platform} {platform.machine()}.",
            hint="Install Foundry, and put anvil on PATH.",
        )
    package = f"@foundry-rs/anvil-{system}-{machine}"
    folder = settings.cache_folder() / f"anvil-{ANVIL_VERSION}-{system}-{machine}"
    binary = folder / "node_modules" / package / "bin" / ("anvil.exe" if system == "win32" else "anvil")
    if not await asyncio.to_thread(binary.exists):
        npm = shutil.which("npm")
        if npm is None:
            raise NodeMissing(
                "There is no anvil on PATH, and no npm to install one with.", hint=WAYS_TO_GET_ONE
            )
        report(f"Installing anvil {ANVIL_VERSION} into {folder} …")
        await _install(npm, package, folder, binary)
    return binary


async def _install(npm: str, package: str, folder: Path, binary: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="anvil-") as scratch:
            await _run_npm(npm, package, scratch)
            (Path(scratch) / binary.relative_to(folder)).chmod(0o755)
            with contextlib.suppress(OSError):  # another process was first: its copy is as good
                (Path(scratch) / "node_modules").rename(_made(folder) / "node_modules")
    except OSError as error:
        raise NodeMissing(
            f"anvil cannot be installed into {folder}: {error.strerror}.",
            hint="Set XDG_CACHE_HOME to a folder that can be written, or put anvil on PATH.",
        ) from error
    if not await asyncio.to_thread(binary.exists):
        raise NodeMissing(
            f"anvil could not be put into {folder}, which holds something else.",
            hint="Remove that folder and try again.",
        )


async def _run_npm(npm: str, package: str, folder: str) -> None:
    process = await asyncio.create_subprocess_exec(
        npm,
        *("install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"),
        f"{package}@{ANVIL_VERSION}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )
    try:
        async with asyncio.timeout(INSTALL_TIMEOUT):
            _, errors = await process.communicate()
    except TimeoutError:
        raise NodeMissing(
            f"npm did not install {package} within {INSTALL_TIMEOUT:g} s.", hint=WAYS_TO_GET_ONE
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # npm, or what a npm that ended has left
        await process.wait()
    if process.returncode != 0:
        said = printable(" / ".join(errors.decode("utf-8", "replace").strip().splitlines()[-5:]), 500)
        raise NodeMissing(f"npm could not install {package} {ANVIL_VERSION}: {said}", hint=WAYS_TO_GET_ONE)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bound(port: int, purpose: str) -> socket.socket:
    """A socket bound to a port of loopback, 0 for a free one; `PortTaken` when somebody listens there."""
    found = socket.socket()
    if os.name == "posix":
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise PortTaken(
            f"Port {port} on {HOST}, for the {purpose}, cannot be used: {error.strerror}.",
            hint="End the program that has it, choose another with --port, or leave --port out.",
            facts={"port": port},
        ) from None
    return found


@dataclass(frozen=True)
class NodeOptions:
    """How anvil is started; `state` is the file that keeps the chain over restarts.

    Without `block_time` (seconds) each transaction gets a block at once. `keep_open` are files that it gets.
    """

    chain_id: int
    port: int
    state: Path | None = None
    block_time: float | None = None
    keep_open: tuple[int, ...] = ()


class Node:
    """A running anvil."""

    def __init__(self, process: asyncio.subprocess.Process, options: NodeOptions) -> None:
        self._process = process
        self._log = b""
        self._drain = asyncio.create_task(self._read_output())
        self.url = f"http://{HOST}:{options.port}"
        self.ws_url = f"ws://{HOST}:{options.port}"
        self.pid = process.pid

    @classmethod
    async def start(cls, binary: Path, options: NodeOptions) -> Node:
        """Start anvil, and return when it answers."""
        arguments = ["--host", HOST, "--port", str(options.port), "--chain-id", str(options.chain_id)]
        arguments += ["--accounts", "1", "--gas-limit", str(GAS_LIMIT), "--quiet"]
        if options.block_time is not None:
            arguments += ["--block-time", f"{options.block_time:g}"]
        if options.state is not None:
            arguments += ["--state", str(options.state), "--state-interval", "2"]
        try:
            process = await asyncio.create_subprocess_exec(
                str(binary),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=options.keep_open,
                start_new_session=True,  # Ctrl+C in the terminal is ours to handle, in order
                preexec_fn=end_with_parent(),
            )
        except OSError as error:
            raise NodeFailed(f"{binary} cannot be run: {error.strerror}.", hint="Remove it.") from error
        node = cls(process, options)
        try:
            await asyncio.wait_for(node._answering(options), START_TIMEOUT)
        except TimeoutError:
            await node.stop()
            raise NodeFailed(
                f"anvil did not answer within {START_TIMEOUT:g} s. {node.last_words()}"
            ) from None
        except BaseException:
            await node.stop()
            raise
        return node

    async def _answering(self, options: NodeOptions) -> None:
        while True:
            if self._process.returncode is not None:
                await self._drain
                raise NodeFailed(f"anvil ended at once, {self.last_words()}")
            try:
                _, writer = await asyncio.open_connection(HOST, options.port)
                break
            except OSError:
                await asyncio.sleep(0.01)
        writer.close()
        rpc = RPC([self.url], options.chain_id, timeout=5)
        try:
            await rpc.call("eth_blockNumber")
        finally:
            await rpc.close()

    async def _read_output(self) -> None:
        assert self._process.stdout is not None
        while piece := await self._process.stdout.read(READ_SIZE):  # not by lines, which may be of any length
            self._log = (self._log + piece)[-READ_SIZE:]

    def last_words(self) -> str:
        """What anvil said last, and how it ended."""
        code = self._process.returncode
        ended = f"exit code {code}." if code is not None and code >= 0 else ""
        if code is not None and code < 0:
            ended = f"killed by {signal.Signals(-code).name}."
        lines = self._log.decode("utf-8", "replace").splitlines()[-20:]
        said = printable(" / ".join(line.strip() for line in lines if line.strip())[:LAST_WORDS])
        return " ".join(part for part in (ended, f"It said: {said}" if said else "") if part)

    async def died(self) -> None:
        """Wait until anvil ends, which it should not; then raise `NodeFailed`."""
        await self._process.wait()
        await self._drain
        raise NodeFailed(
            f"The node (anvil, process {self.pid}) ended while it was needed: {self.last_words()}"
        )

    async def stop(self) -> None:
        """End anvil, giving it time to write its state."""
        if self._process.returncode is None:
            tell(self._process, signal.SIGINT if os.name == "posix" else signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                tell(self._process, signal.SIGKILL)
                await self._process.wait()
        await self._drain
