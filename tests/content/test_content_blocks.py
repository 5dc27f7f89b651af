"""Files in layouts that nobody can guess: fetched block by block, each block checked, and within bounds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.http_servers import BODY, QUICK, client, run, serving
from tests.support.http_servers import CID as NAME
from tests.support.ipfs import BlockGateway, cid_bytes, field, link, unixfs
from tests.support.vectors import FILES, STORED, StoredFile

from ogpu.content import CID, Limits, parse_cid
from ogpu.content.cache import Cache
from ogpu.errors import (
    ContentError,
    ContentInvalid,
    ContentMismatch,
    ContentTooLarge,
    ContentUnavailable,
    UnsupportedCID,
)

SMALL = STORED["small chunks, v0"]


async def fetched(gateway: BlockGateway, cid: str = SMALL.root, limits: Limits = QUICK) -> bytes:
    async with serving(gateway.app()) as url, client(url, limits=limits) as content:
        return await content.get_bytes(cid)


@pytest.mark.parametrize("stored", FILES, ids=lambda stored: stored.name)
@pytest.mark.parametrize("blocks_only", [False, True])
def test_any_layout_is_fetched_and_checked(stored: StoredFile, blocks_only: bool) -> None:
    gateway = BlockGateway(stored.name, blocks_only=blocks_only)
    assert run(fetched(gateway, stored.root)) == stored.data
    assert sum("format=raw" not in asked for asked in gateway.asked) == 1


def test_a_default_layout_is_asked_for_once_and_whole() -> None:
    gateway = BlockGateway("flat")
    gateway.files[cid_bytes(NAME)] = BODY
    assert run(fetched(gateway, NAME)) == BODY
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("place", range(0, 31, 3))
def test_one_altered_block_is_refused(place: int) -> None:
    gateway = BlockGateway(SMALL.name)
    digest = sorted(gateway.blocks)[place]
    block = bytearray(gateway.blocks[digest])
    block[place % len(block)] ^= 1
    gateway.blocks[digest] = bytes(block)
    with pytest.raises(ContentMismatch) as caught:
        run(fetched(gateway))
    (told,) = caught.value.facts["gateways"].values()
    assert "not the block" in told


def test_an_honest_gateway_completes_what_a_liar_spoilt() -> None:
    async def scenario() -> None:
        liar, honest = BlockGateway(SMALL.name), BlockGateway(SMALL.name)
        digest = sorted(liar.blocks)[20]
        liar.blocks[digest] = b"a lie"
        async with serving(liar.app()) as bad, serving(honest.app()) as good, client(bad, good) as content:
            assert await content.get_bytes(SMALL.root) == SMALL.data

    run(scenario())


def test_a_missing_block_is_unavailable_and_named() -> None:
    gateway = BlockGateway(SMALL.name, blocks_only=True)
    gateway.blocks.pop(sorted(gateway.blocks)[5])
    with pytest.raises(ContentUnavailable) as caught:
        run(fetched(gateway))
    (told,) = caught.value.facts["gateways"].values()
    assert "Its blocks: " in told
    assert "HTTP 404" in told


def test_a_directory_and_a_tree_that_lies_are_final() -> None:
    directory = STORED["a directory"]
    with pytest.raises(UnsupportedCID, match="is a directory"):
        run(fetched(BlockGateway("a directory"), directory.root))

    gateway = BlockGateway(SMALL.name)
    child = next(iter(SMALL.blocks))
    size = 1 + len(SMALL.data)  # no part of the file has so many
    root = link(b"\x12\x20" + parse_cid(child).digest) + unixfs(field(4, size), field(3, size))
    with pytest.raises(ContentInvalid, match="where the block above it says"):
        run(fetched(gateway, named(gateway, root)))


def named(gateway: BlockGateway, block: bytes) -> str:
    """Put a block of our own into a gateway; its CID."""
    digest = hashlib.sha256(block).digest()
    gateway.blocks[digest] = block
    gateway.files[digest] = b"something"
    return str(CID(0, "dag-pb", digest))


def test_more_bytes_than_the_limit_are_refused_by_the_root_alone() -> None:
    gateway = BlockGateway(SMALL.name, blocks_only=True)
    limits = Limits(max_bytes=len(SMALL.data) - 1)
    with pytest.raises(ContentTooLarge) as caught:
        run(fetched(gateway, limits=limits))
    assert caught.value.facts == {"limit": 97, "size": 98}
    assert len(gateway.asked) == 2
    limits = Limits(max_bytes=len(SMALL.data))
    assert run(fetched(BlockGateway(SMALL.name, blocks_only=True), limits=limits)) == SMALL.data


def in_parts(gateway: BlockGateway, part: bytes, count: int) -> str:
    """A file of the same block of one byte again and again; its CID."""
    target = link(b"\x12\x20" + parse_cid(named(gateway, part)).digest)
    root = target * count + unixfs(field(3, count), *[field(4, 1)] * count)
    return named(gateway, root)


MUCH = bytes(4_000_000)


@pytest.mark.parametrize(
    "padded",
    [
        unixfs(field(2, b"x"), field(3, 1)) + field(15, MUCH),
        unixfs(field(2, b"x"), field(3, 1), field(15, MUCH)),
        unixfs(field(2, MUCH), field(2, b"x"), field(3, 1)),
        field(1, MUCH) + unixfs(field(2, b"x"), field(3, 1)),
        unixfs(field(2, b"x"), field(3, 1), field(8, MUCH)),
    ],
    ids=["node", "UnixFS", "bytes twice", "data twice", "time"],
)
def test_a_tiny_file_in_padded_blocks_is_not_downloaded(padded: bytes) -> None:
    gateway = BlockGateway(SMALL.name, blocks_only=True)
    cid = in_parts(gateway, padded, 40)
    with pytest.raises(ContentTooLarge, match="bytes of blocks for a file of at most 1,000") as caught:
        run(fetched(gateway, cid, Limits(max_bytes=1000)))
    assert caught.value.facts["limit"] == 1000
    assert len(gateway.asked) <= 7  # the file, its root, four at a time, and one more
    with pytest.raises(ContentInvalid, match="no proper part of a file"):
        run(fetched(gateway, cid, Limits()))


def test_a_gateway_that_puts_a_padded_file_together_is_no_liar() -> None:
    gateway = BlockGateway(SMALL.name)
    cid = in_parts(gateway, unixfs(field(2, b"x"), field(3, 1)) + field(15, MUCH), 40)
    with pytest.raises(ContentTooLarge):
        run(fetched(gateway, cid, Limits(max_bytes=1000)))


def test_small_blocks_in_any_number_are_not_downloaded_for_a_tiny_file() -> None:
    """Each is a proper part, but there are 30 for each byte of the file."""
    gateway = BlockGateway(SMALL.name, blocks_only=True)
    block = unixfs(field(2, b"x"), field(3, 1))
    for _ in range(30):
        cid = named(gateway, block)
        block = link(b"\x12\x20" + parse_cid(cid).digest) + unixfs(field(4, 1), field(3, 1))
    with pytest.raises(ContentTooLarge):
        run(fetched(gateway, in_parts(gateway, block, 1000), Limits(max_bytes=1000)))
    assert len(gateway.asked) < 1000


def test_a_file_at_the_limit_comes_though_it_is_cut_as_finely_as_can_be() -> None:
    gateway = BlockGateway(SMALL.name, blocks_only=True)
    cid = in_parts(gateway, unixfs(field(2, b"x"), field(3, 1)), 500)
    assert run(fetched(gateway, cid, Limits(max_bytes=500))) == b"x" * 500


def test_a_chain_of_blocks_without_end_is_cut_off() -> None:
    """Each of these holds nothing but the next one."""
    gateway = BlockGateway(SMALL.name)
    block = unixfs(field(2, b"x"), field(3, 1))
    for _ in range(200):
        cid = named(gateway, block)
        block = link(b"\x12\x20" + parse_cid(cid).digest) + unixfs(field(4, 1), field(3, 1))
    with pytest.raises(ContentInvalid, match="levels deep"):
        run(fetched(gateway, named(gateway, block)))
    assert len(gateway.asked) < 100


def test_an_endless_block_is_cut_off() -> None:
    sent = [0]

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if "format" not in request.query:
            return response
        while True:
            await response.write(bytes(100_000))
            sent[0] += 100_000

    async def scenario() -> None:
        app = web.Application()
        app.router.add_get("/ipfs/{cid}", endless)
        async with serving(app) as url, client(url, limits=Limits(max_bytes=10**9)) as content:
            with pytest.raises(ContentMismatch):
                await content.get_bytes(SMALL.root)

    run(scenario())
    assert (
        sent[0] < 40_000_000
    )  # a block has at most 4 MiB; what fits into the sockets' buffers may have been sent


def test_blocks_that_were_fetched_once_are_not_asked_for_again(tmp_path: Path) -> None:
    """Also when the fetch was cut short: the next one goes on where it ended."""

    async def scenario() -> None:
        gateway = BlockGateway(SMALL.name, blocks_only=True)
        last = sorted(gateway.blocks)[-1]
        block = gateway.blocks.pop(last)
        async with serving(gateway.app()) as url:
            cache = Cache(tmp_path / "cache", 1 << 20)
            async with client(url, cache=cache) as content:
                with pytest.raises(ContentError):
                    await content.get_bytes(SMALL.root)
                first = len(gateway.asked)
                gateway.blocks[last] = block
                assert await content.get_bytes(SMALL.root) == SMALL.data
                second = len(gateway.asked)
                assert first < second < first + 31
                assert await content.get_bytes(SMALL.root) == SMALL.data
                assert len(gateway.asked) == second

    run(scenario())


@pytest.mark.parametrize("damage", [b"", b"another", None])
def test_a_spoilt_block_in_the_cache_is_not_believed(tmp_path: Path, damage: bytes | None) -> None:
    async def scenario() -> None:
        gateway = BlockGateway(SMALL.name, blocks_only=True)
        async with serving(gateway.app()) as url:
            cache = Cache(tmp_path, 1 << 20)
            async with client(url, cache=cache) as content:
                assert await content.get_bytes(SMALL.root) == SMALL.data
                asked = len(gateway.asked)
                for path in sorted(tmp_path.iterdir())[::7]:
                    path.unlink() if damage is None else path.write_bytes(damage)
                    asked += 1
                assert await content.get_bytes(SMALL.root) == SMALL.data
                assert asked <= len(gateway.asked) <= asked + 1  # the root's own absence is noticed first

    run(scenario())


def test_a_file_in_blocks_goes_to_disk_with_its_progress(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[tuple[int, int | None]] = []
        path = tmp_path / "out.bin"
        async with serving(BlockGateway(SMALL.name, blocks_only=True).app()) as url, client(url) as content:
            size = await content.get_file(SMALL.root, path, progress=lambda *done: seen.append(done))
        assert (size, path.read_bytes()) == (98, SMALL.data)
        assert seen[-1] == (98, 98)
        assert seen == sorted(seen)

    run(scenario())
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.bin"]
