"""Stand-ins for a Kubo node's RPC and for a gateway that gives blocks.

No registry has Kubo itself, so these answer as its documentation says, with files, CIDs and blocks of another
real implementation: they know nothing but the vectors. Our client was also run, by hand, against the RPC of a
js-ipfs node.
"""

from __future__ import annotations

import hashlib
import json

from aiohttp import web

from ogpu.content import parse_cid
from tests.support.vectors import DEFAULTS, STORED, content


def cid_bytes(text: str) -> bytes:
    """All spellings of a CID's hash are one."""
    return parse_cid(text).digest


class KuboNode:
    """`/api/v0/add`, `cat` and `block/get`."""

    def __init__(self, *, lie: bool = False) -> None:
        self.asked: list[str] = []
        self._lie = lie
        self._named = {
            content(vector): str(vector["v0"]) for vector in DEFAULTS if vector.get("length", 0) < 4e6
        }
        self._files = {cid_bytes(cid): data for data, cid in self._named.items()}
        self._blocks: dict[bytes, bytes] = {}
        for stored in STORED.values():
            self._files[cid_bytes(stored.root)] = stored.data
            self._blocks |= {cid_bytes(cid): block for cid, block in stored.blocks.items()}

    def app(self) -> web.Application:
        """All methods but POST are 405, as there."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/api/v0/add", self.add)
        app.router.add_post("/api/v0/cat", self.cat)
        app.router.add_post("/api/v0/block/get", self.block)
        return app

    async def add(self, request: web.Request) -> web.Response:
        """One JSON object a line, for each file."""
        self.asked.append(str(request.rel_url))
        assert request.query["cid-version"] == "0"
        assert request.query["chunker"] == "size-262144"
        form = await request.post()
        (part,) = form.values()
        assert isinstance(part, web.FileField)
        data = part.file.read()
        named = self._named.get(b"hello world" if self._lie else data)
        if named is None:
            return _failed("the stand-in does not know this file")
        answer = {"Name": part.filename, "Hash": named, "Size": str(len(data) + 8)}
        return web.Response(text=json.dumps(answer) + "\n", content_type="application/json")

    async def cat(self, request: web.Request) -> web.Response:
        """The bytes of a file."""
        self.asked.append(str(request.rel_url))
        data = self._files.get(cid_bytes(request.query["arg"]))
        return _failed("block was not found locally (offline)") if data is None else web.Response(body=data)

    async def block(self, request: web.Request) -> web.Response:
        """One block."""
        self.asked.append(str(request.rel_url))
        block = self._blocks.get(cid_bytes(request.query["arg"]))
        return _failed("block was not found locally (offline)") if block is None else web.Response(body=block)


def _failed(message: str) -> web.Response:
    return web.json_response({"Message": message, "Code": 0, "Type": "error"}, status=500)


class BlockGateway:
    """A gateway that gives files and, for `?format=raw`, blocks; or blocks only.

    https://specs.ipfs.tech/http-gateways/trustless-gateway/
    """

    def __init__(self, name: str, *, blocks_only: bool = False) -> None:
        stored = STORED[name]
        self.asked: list[str] = []
        self.files = {cid_bytes(stored.root): stored.data}
        self.blocks = {cid_bytes(cid): block for cid, block in stored.blocks.items()}
        self._blocks_only = blocks_only

    def app(self) -> web.Application:
        """The one route."""
        app = web.Application()
        app.router.add_get("/ipfs/{cid}", self.get)
        return app

    async def get(self, request: web.Request) -> web.Response:
        """A file or a block."""
        self.asked.append(str(request.rel_url))
        raw = request.query.get("format") == "raw"
        assert raw == (request.headers.get("Accept") == "application/vnd.ipld.raw")
        if self._blocks_only and not raw:
            return web.Response(status=406, text="only application/vnd.ipld.raw")
        found = (self.blocks if raw else self.files).get(cid_bytes(request.match_info["cid"]))
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found, content_type="application/vnd.ipld.raw" if raw else "text/plain")


CHILD = b"\x12\x20" + hashlib.sha256(b"child").digest()


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))


def link(target: bytes = CHILD) -> bytes:
    return field(2, field(1, target) + field(2, b"") + field(3, 99))


def unixfs(*fields: bytes, kind: int = 2) -> bytes:
    return field(1, field(1, kind) + b"".join(fields))
