"""Fetching within limits of size and time, from gateways that respect none."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path

import aiohttp
import pytest
from tests.support.http_servers import (
    BODY,
    CID,
    QUICK,
    answer,
    answers,
    client,
    content_service,
    drip,
    fetched,
    misbehaving,
    run,
)

from ogpu.content import AsyncContent, Limits, cid_of
from ogpu.errors import ContentMismatch, ContentTooLarge, ContentUnavailable


def test_an_endless_body_is_cut_off_soon_after_the_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    piece = bytes(100_000)
    sent = [0]

    async def endless(writer: asyncio.StreamWriter, _count: int) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            sent[0] += len(piece)

    with pytest.raises(ContentTooLarge) as caught:
        run(fetched(endless))
    assert caught.value.facts["limit"] == QUICK.max_bytes
    assert sent[0] < 30 * QUICK.max_bytes  # what fits into the sockets' buffers may have been sent


def test_an_endless_chunked_body_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(ContentTooLarge):
        run(fetched(drip(head, b"8000\r\n" + bytes(0x8000) + b"\r\n", 0)))


def test_a_length_over_the_limit_is_refused_before_the_body() -> None:
    async def announce(writer: asyncio.StreamWriter, _count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(30)  # the body never comes; who waits for it says that it did not

    with pytest.raises(ContentTooLarge):
        run(fetched(announce))


def test_content_at_the_limit_comes_and_one_byte_more_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        for size in (300_000, 300_001):
            data = bytes(size)
            (tmp_path / cid_of(data)).write_bytes(data)
        limits = Limits(max_bytes=300_000)
        async with content_service(tmp_path) as url, client(url, limits=limits) as content:
            assert await content.get_bytes(cid_of(bytes(300_000))) == bytes(300_000)
            with pytest.raises(ContentTooLarge):
                await content.get_bytes(cid_of(bytes(300_001)))

    run(scenario())


@pytest.mark.parametrize("length", [len(BODY) + 10, len(BODY) - 1])
def test_a_wrong_content_length_is_noticed(length: int) -> None:
    lie = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length + BODY
    with pytest.raises((ContentUnavailable, ContentMismatch)):
        run(fetched(answers(lie)))


@pytest.mark.parametrize("bomb", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-unknown"])
def test_an_encoded_body_is_refused_unopened(encoding: str, bomb: bool) -> None:
    packed = gzip.compress(bytes(200_000_000) if bomb and encoding == "gzip" else BODY)
    with pytest.raises(ContentUnavailable, match="encoded body"):
        run(fetched(answers(answer("200 OK", packed, f"Content-Encoding: {encoding}"))))


def test_a_given_session_is_used_as_strictly_and_left_open() -> None:
    async def scenario() -> None:
        packed = answer("200 OK", gzip.compress(BODY), "Content-Encoding: gzip")
        async with (
            misbehaving(answers(packed, answer("200 OK", BODY))) as (url, _),
            aiohttp.ClientSession() as own,
        ):
            async with AsyncContent(gateway_urls=[url], limits=QUICK, session=own) as content:
                with pytest.raises(ContentUnavailable, match="encoded body"):
                    await content.get_bytes(CID)
                assert await content.get_bytes(CID) == BODY
            assert not own.closed

    run(scenario())


def test_no_encoding_is_asked_for() -> None:
    _, bad = run(fetched(answers(answer("200 OK", BODY))))
    assert "accept-encoding: identity" in bad.requests[0].lower()


def test_a_slow_drip_ends_with_the_total_time() -> None:
    limits = Limits(total_seconds=0.5, idle_seconds=5)
    started = time.monotonic()
    with pytest.raises(ContentUnavailable, match=r"within 0\.5 s"):
        run(fetched(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b".", 0.02), limits=limits))
    assert 0.4 < time.monotonic() - started < 30  # it would drip for half an hour


def test_silence_ends_with_the_idle_time_of_each_attempt() -> None:
    limits = Limits(total_seconds=20, idle_seconds=0.2, attempts=2, backoff_seconds=0.01)

    async def silent(_writer: asyncio.StreamWriter, _count: int) -> None:
        await asyncio.sleep(30)

    started = time.monotonic()
    with pytest.raises(ContentUnavailable):
        run(fetched(silent, limits=limits))
    assert 0.3 < time.monotonic() - started < limits.total_seconds


def test_a_dripping_gateway_leaves_time_for_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        slow = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b".", 0.02)
        limits = Limits(total_seconds=1, idle_seconds=5)
        async with (
            misbehaving(slow) as (drips, _),
            content_service(tmp_path) as honest,
            client(drips, honest, limits=limits) as content,
        ):
            assert await content.get_bytes(CID) == BODY

    run(scenario())
