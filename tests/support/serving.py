"""`ogpu serve` as a process of its own, and HTTP to it without our own client."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ogpu.localnet.processes import end_with_parent
from tests.support.canaries import look

START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code of an error, whose shape is checked."""
        assert self.headers["content-type"] == "application/json"
        (words,) = self.json.values()
        assert set(words) == {"code", "message", "hint"}
        assert all(isinstance(word, str) for word in words.values())
        return str(words["code"])


@dataclass
class Server:
    """A server that runs."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def place(self) -> tuple[str, int]:
        """Its address."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own; `_` in a header's name is a hyphen."""
        connection = http.client.HTTPConnection(*self.place, timeout=30)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=given)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether it says so."""
        return self.get("/readyz").status == 200

    def said(self) -> str:
        """Everything that it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serve(folder: Path, network_file: Path, *arguments: str, index: str = "") -> Iterator[Server]:
    """`ogpu serve` for a network, stopped at the end as SIGTERM would."""
    log = folder / "serve.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ogpu", "serve", "--network-file", str(network_file), "--port", "0"),
                *("--database", index or str(folder / "index.sqlite3"), "--json", *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=end_with_parent(),
        )
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told, log.read_text()
        yield Server(json.loads(told)["url"], process, log)
        look(log.read_text(), "what `ogpu serve` said")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def raw(url: str) -> Any:
    """The JSON of a URL, by the standard library."""
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.loads(response.read())
