"""Uploading: the link we are given names the bytes we sent, or there is an error."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.support.http_servers import (
    QUICK,
    Conduct,
    Misbehaving,
    answer,
    answers,
    client,
    content_service,
    drip,
    misbehaving,
    run,
)

from ogpu.content import Limits, cid_of, matches
from ogpu.content.unixfs import KUBO_V1
from ogpu.errors import ContentError, ContentMismatch, ContentTooLarge, ContentUnavailable, NotJSON

BODY = b'{"function_name":"f","data":{}}'
CID = cid_of(BODY)


def link(cid: str, status: str = "201 Created") -> bytes:
    text = json.dumps({"link": f"https://cipfs.ogpuscan.io/ipfs/{cid}"})
    return answer(status, text.encode(), "Content-Type: application/json")


GOOD = link(CID)


async def uploaded(
    conduct: Conduct, *, limits: Limits = QUICK, data: bytes = BODY
) -> tuple[str, Misbehaving]:
    async with misbehaving(conduct) as (url, bad), client(upload_url=url, limits=limits) as content:
        return await content.put_bytes(data, "taskConfig.json", "application/json"), bad


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path) as url:
            content = client(url, upload_url=f"{url}/file/create", limits=Limits())
            async with content:
                for data in (b"", b"x", BODY, bytes(range(256)) * 12_000):
                    given = await content.put_bytes(data, 'größe ".bin')
                    assert given == f"{url}/ipfs/{cid_of(data)}"
                    assert await content.get_bytes(given) == data
                value = {"ü": [1, 2**70, None]}
                given = await content.put_json(value, "taskConfig.json")
                assert matches(given.rpartition("/")[2], '{"ü":[1,1180591620717411303424,null]}'.encode())
                assert await content.get_json(given) == value

    run(scenario())


def test_the_request_is_as_the_service_documents_it() -> None:
    body = bytearray()

    async def scenario() -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body.extend(head + await reader.readexactly(int(length.partition(b":")[2])))
            writer.write(GOOD)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file/create"
        async with server, client(upload_url=url) as content:
            await content.put_bytes(BODY, "taskConfig.json", "application/json")

    run(scenario())
    assert body.startswith(b"POST /file/create HTTP/1.1\r\n")
    assert b"Content-Type: multipart/form-data; boundary=" in body
    assert b'name="file"; filename="taskConfig.json"' in body
    assert b"Content-Type: application/json\r\n" in body
    assert b"\r\n\r\n" + BODY + b"\r\n--" in body


@pytest.mark.parametrize("status", ["200 OK", "201 Created"])
def test_both_good_statuses_are_taken(status: str) -> None:
    given, bad = run(uploaded(answers(link(CID, status))))
    assert given.endswith(CID)
    assert len(bad.requests) == 1


def test_a_v1_link_to_the_same_bytes_is_taken() -> None:
    cid = cid_of(BODY, KUBO_V1)
    assert run(uploaded(answers(link(cid))))[0].endswith(cid)


@pytest.mark.parametrize(
    "named", [cid_of(b"other"), cid_of(b"other", KUBO_V1), "", "nonsense", f"{CID}/inside"]
)
def test_a_link_that_does_not_name_our_bytes_is_a_mismatch(named: str) -> None:
    with pytest.raises(ContentMismatch):
        run(uploaded(answers(link(named))))


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>maintenance</html>",
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"link"',
        b'{"link": 5}',
        b'{"link": ""}',
        b'{"link": null}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"link": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_an_answer_without_a_link_is_unavailable(reply: bytes) -> None:
    with pytest.raises(ContentUnavailable) as caught:
        run(uploaded(answers(answer("200 OK", reply, "Content-Type: text/html"))))
    assert caught.value.retryable
    assert caught.value.facts["service"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("first", ["502 Bad Gateway", "503 Busy", "500 Oops", "429 Slow Down", "408 Timeout"])
def test_a_passing_failure_is_tried_again(first: str) -> None:
    given, bad = run(uploaded(answers(answer(first, b"<html>"), b"", GOOD)))
    assert given.endswith(CID)
    assert len(bad.requests) == 3


@pytest.mark.parametrize(
    ("status", "times"),
    [("502 Bad Gateway", 3), ("429 Slow Down", 3), ("400 Bad", 1), ("403 No", 1), ("302 Found", 1)],
)
def test_attempts_are_bounded_and_a_final_answer_is_final(status: str, times: int) -> None:
    async def scenario() -> None:
        conduct = answers(answer(status, b"<html>", "Location: http://127.0.0.1:1/"))
        async with misbehaving(conduct) as (url, bad), client(upload_url=url) as content:
            with pytest.raises(ContentUnavailable) as caught:
                await content.put_bytes(BODY, "x")
            assert caught.value.facts["status"] == int(status[:3])
            assert len(bad.requests) == times

    run(scenario())


def test_a_service_that_finds_it_too_large_is_believed() -> None:
    with pytest.raises(ContentTooLarge):
        run(uploaded(answers(answer("413 Too Large", b'{"error": "no"}'))))


def test_at_the_limit_it_is_sent_and_above_it_nothing_is(tmp_path: Path) -> None:
    limits = Limits(max_bytes=1000)
    data = bytes(1000)
    assert run(uploaded(answers(link(cid_of(data))), limits=limits, data=data))[0]

    async def scenario() -> None:
        async with misbehaving(answers(GOOD)) as (url, bad), client(upload_url=url, limits=limits) as content:
            with pytest.raises(ContentTooLarge) as caught:
                await content.put_bytes(bytes(1001), "x")
            assert caught.value.facts == {"limit": 1000, "size": 1001}
            assert bad.requests == []

    run(scenario())


def test_what_is_not_json_is_never_sent() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(GOOD)) as (url, bad), client(upload_url=url) as content:
            with pytest.raises(NotJSON):
                await content.put_json({"data": {1, 2}}, "taskConfig.json")
            assert bad.requests == []

    run(scenario())


def test_a_dripping_answer_ends_with_the_total_time() -> None:
    limits = Limits(total_seconds=0.4, idle_seconds=5)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
    started = time.monotonic()
    with pytest.raises(ContentUnavailable, match=r"within 0\.4 s"):
        run(uploaded(drip(head, b" ", 0.02), limits=limits))
    assert time.monotonic() - started < 30  # it would drip for twenty minutes


def test_an_endless_answer_is_cut_off() -> None:
    with pytest.raises(ContentUnavailable, match="more than the link"):
        run(uploaded(drip(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", bytes(50_000), 0)))


@pytest.mark.parametrize(
    "conduct", [answers(b""), answers(b"SSH-2.0\r\n\r\n"), answers(answer("500 Oops", b""))]
)
def test_errors_show_no_secret_of_the_address(conduct: Conduct) -> None:
    async def scenario() -> ContentError:
        async with misbehaving(conduct) as (url, _):
            secret = url.replace("//", "//me:hunter2@") + "/token-in-path?key=hunter2"
            async with client(upload_url=secret) as content:
                with pytest.raises(ContentUnavailable) as caught:
                    await content.put_bytes(BODY, "x")
        return caught.value

    error: BaseException | None = run(scenario())
    while error is not None:
        shown = f"{error} {error!r} {getattr(error, 'facts', '')}"
        assert "hunter2" not in shown
        assert "token-in-path" not in shown
        error = error.__cause__ or error.__context__
