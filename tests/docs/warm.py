"""The command `ogpu` as forks of one process that has imported everything, which saves its start."""

from __future__ import annotations

import array
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

WAIT = 60.0  # seconds until it listens

# What stands for the command on a reader's PATH: hands its arguments, variables, folder and files on, and
# ends as the fork does. What starts a network is started as it is, but for one without providers, which is
# there already.
COMMAND = """#!{python} -IS
import array, json, os, socket, sys
if sys.argv[1:3] == ["up", "--network-file"] and sys.argv[4:] == ["--no-provider", "--detach"]:
    os.symlink({bare!r}, sys.argv[3])
    sys.exit()
if sys.argv[1:2] in (["up"], ["demo"]):
    os.execv({python!r}, [{python!r}, "-m", "ogpu", *sys.argv[1:]])
order = json.dumps([["ogpu", *sys.argv[1:]], dict(os.environ), os.getcwd()]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    files = array.array("i", [0, 1, 2])
    server.sendmsg([len(order).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    server.sendall(order)
    code = server.recv(1)
os._exit(code[0] if code else 70)
"""


def command_in(folder: Path, path: Path, bare: Path) -> None:
    """Put the command into a folder; `bare` is the file of a network without providers."""
    file = folder / "ogpu"
    text = COMMAND.format(python=sys.executable, path=str(path), bare=str(bare))
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


def started(path: Path) -> subprocess.Popen[bytes]:
    """The process that forks, listening at a path; it ends when its standard input does."""
    server = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", "import sys, tests.docs.warm as _; _.serve(sys.argv[1])", path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        stdin=subprocess.PIPE,
    )
    end = time.monotonic() + WAIT
    while not path.exists():
        assert server.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    return server


def serve(path: str) -> None:
    """Fork for each order, until standard input ends."""
    import selectors

    import aiohttp  # noqa: F401
    import eth_account  # noqa: F401
    import pydantic  # noqa: F401
    import yaml  # noqa: F401

    import ogpu.aio  # noqa: F401
    from ogpu.cli import main

    importlib.import_module("ogpu.cli.main")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            if any(key.fd == 0 for key, _ in selector.select()):
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                selector.close()
                listener.close()
                _carry_out(connection, main)
            connection.close()


def _carry_out(connection: socket.socket, main: Callable[[], int]) -> None:
    """Be the command, and tell the code that it ends with."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        length, control, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * 4))
        files = array.array("i")
        files.frombytes(control[0][2])
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, 1, encoding="utf-8", closefd=False)  # noqa: SIM115
            for number, mode in enumerate("rww")
        )
        order = bytearray()
        while len(order) < int.from_bytes(length, "big"):
            order += connection.recv(65536)
        sys.argv, environment, folder = json.loads(order)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - as Python ends with it
        traceback.print_exc()
        code = 1
    finally:
        connection.sendall(bytes([code]))
        os._exit(code)
