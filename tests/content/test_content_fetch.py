"""Fetching: only the true bytes come back, whatever a gateway does."""

from __future__ import annotations

import os
import random
import secrets
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.http_servers import (
    BODY,
    CID,
    QUICK,
    answer,
    answers,
    client,
    content_service,
    fetched,
    misbehaving,
    run,
    serving,
)

from ogpu.content import AsyncContent, cid_of
from ogpu.content.unixfs import KUBO_V1
from ogpu.errors import (
    ClientClosed,
    ConfigurationError,
    ContentInvalid,
    ContentMismatch,
    ContentUnavailable,
    UnsupportedCID,
)

LINK = f"https://cipfs.ogpuscan.io/ipfs/{CID}"


def test_bytes_come_from_our_gateway_not_from_the_links_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        stranger = answers(answer("200 OK", b"from the stranger"))
        async with (
            content_service(tmp_path) as url,
            misbehaving(stranger) as (host, bad),
            client(url) as content,
        ):
            assert await content.get_bytes(f"{host}/ipfs/{CID}") == BODY
            assert bad.requests == []

    run(scenario())


@pytest.mark.parametrize("ending", ["", "/", "/ipfs", "/ipfs/"])
def test_a_gateway_is_given_with_or_without_its_ending(tmp_path: Path, ending: str) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        async with content_service(tmp_path) as url, client(url + ending) as content:
            assert await content.get_bytes(LINK) == BODY

    run(scenario())


def test_a_gateways_own_path_query_and_user_are_used() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", BODY))) as (url, bad):
            gateway = url.replace("//", "//me:pw@") + "/tenant/ipfs?key=secret"
            async with client(gateway) as content:
                assert await content.get_bytes(CID) == BODY
            assert bad.requests[0].startswith(f"GET /tenant/ipfs/{CID}?key=secret HTTP/1.1")
            assert "Authorization: Basic" in bad.requests[0]

    run(scenario())


def test_a_raw_and_a_v1_cid_are_checked_too() -> None:
    for data in (BODY, bytes(range(256)) * 1200):
        cid = cid_of(data, KUBO_V1)
        assert run(fetched(answers(answer("200 OK", data)), cid=cid))[0] == data
        with pytest.raises(ContentMismatch):
            run(fetched(answers(answer("200 OK", data + b" ")), cid=cid))


LARGE = bytes(range(256)) * 1200  # two blocks


@pytest.mark.parametrize(
    ("cid", "data", "times"),
    [(CID, BODY, 1000), (cid_of(BODY, KUBO_V1), BODY, 900), (cid_of(LARGE), LARGE, 100)],
    ids=["dag-pb", "raw", "two blocks"],
)
def test_2000_altered_bodies_are_all_refused(cid: str, data: bytes, times: int) -> None:
    seed = os.environ.get("OGPU_SEED") or secrets.token_hex(4)
    print(f"OGPU_SEED={seed}")
    rng = random.Random(f"{seed}/{cid}")
    served: dict[str, bytes] = {}

    async def lie(request: web.Request) -> web.Response:
        return web.Response(body=served["body"])

    async def scenario() -> None:
        app = web.Application()
        app.router.add_get("/ipfs/{cid}", lie)
        async with serving(app) as url, client(url) as content:
            served["body"] = data
            assert await content.get_bytes(cid) == data
            for _ in range(times):
                served["body"] = altered(rng, data)
                assert served["body"] != data
                with pytest.raises(ContentMismatch):
                    await content.get_bytes(cid)

    run(scenario())


def altered(rng: random.Random, data: bytes) -> bytes:
    body = bytearray(data)
    place = rng.randrange(len(body))
    change = rng.randrange(6)
    if change == 0:
        body[place] ^= 1 << rng.randrange(8)
    elif change == 1:
        del body[place : place + rng.randint(1, 4)]
    elif change == 2:
        body[place:place] = rng.randbytes(rng.randint(1, 4))
    elif change == 3:
        body = body[:place]
    elif change == 4:
        body += rng.randbytes(rng.randint(1, 4))
    else:
        other = (place + rng.randint(1, len(body) - 1)) % len(body)
        body[place], body[other] = body[other], body[place]
        if bytes(body) == data:  # the two were alike
            body[place] ^= 255
    return bytes(body)


def test_an_honest_gateway_behind_a_lying_one_is_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        async with (
            misbehaving(answers(answer("200 OK", b"a lie"))) as (liar, bad),
            content_service(tmp_path) as honest,
            client(liar, honest) as content,
        ):
            assert await content.get_bytes(LINK) == BODY
            assert len(bad.requests) == 1

    run(scenario())


def test_when_all_gateways_fail_the_gravest_is_raised_and_all_are_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            content_service(tmp_path) as empty,
            misbehaving(answers(answer("200 OK", b"a lie"))) as (liar, _),
            client(empty, liar) as content,
        ):
            with pytest.raises(ContentMismatch) as caught:
                await content.get_bytes(LINK)
            gateways = caught.value.facts["gateways"]
            assert "HTTP 404" in gateways[empty]
            assert "not the file" in gateways[liar]
            assert caught.value.facts["cid"] == CID

    run(scenario())


def test_an_unknown_cid_is_asked_for_once_and_unavailable() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("404 Not Found", b"{}"))) as (url, bad), client(url) as content:
            with pytest.raises(ContentUnavailable) as caught:
                await content.get_bytes(CID)
            assert caught.value.facts["status"] == 404
            assert caught.value.retryable
            assert len(bad.requests) == 1

    run(scenario())


def test_a_passing_failure_is_tried_again() -> None:
    bad_gateway = answer("502 Bad Gateway", b"<html>nginx</html>", "Content-Type: text/html")
    body, bad = run(fetched(answers(bad_gateway, b"", answer("200 OK", BODY))))
    assert body == BODY
    assert len(bad.requests) == 3


def test_attempts_are_bounded() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("503 Busy", b""))) as (url, bad), client(url) as content:
            with pytest.raises(ContentUnavailable) as caught:
                await content.get_bytes(CID)
            assert caught.value.facts["status"] == 503
            assert len(bad.requests) == QUICK.attempts

    run(scenario())


def test_an_html_page_in_place_of_the_file_is_a_mismatch() -> None:
    with pytest.raises(ContentMismatch):
        run(fetched(answers(answer("200 OK", b"<html>please log in</html>", "Content-Type: text/html"))))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", BODY))) as (inner, bad):
            away = answers(answer(status, b"", f"Location: {inner}/ipfs/{CID}"))
            with pytest.raises(ContentUnavailable, match="redirects"):
                await fetched(away)
            assert bad.requests == []

    run(scenario())


def test_a_gateway_that_is_not_there_is_unavailable() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(b"")) as (url, _):
            pass
        async with client(url) as content:
            with pytest.raises(ContentUnavailable) as caught:
                await content.get_bytes(CID)
            assert url in str(caught.value)

    run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000],
)
def test_an_answer_that_is_not_http_is_unavailable_and_shows_no_secret(garbage: bytes) -> None:
    async def scenario() -> None:
        async with misbehaving(answers(garbage)) as (url, _):
            gateway = url.replace("//", "//me:hunter2@") + "/path-token?key=hunter2"
            async with client(gateway) as content:
                with pytest.raises(ContentUnavailable) as caught:
                    await content.get_bytes(CID)
        told = "".join(_whole_story(caught.value))
        assert "hunter2" not in told
        assert "path-token" not in told

    run(scenario())


def _whole_story(error: BaseException | None) -> list[str]:
    """The error, its facts and all its causes, as a log would show them."""
    if error is None:
        return []
    shown = [str(error), repr(error), repr(getattr(error, "facts", ""))]
    return shown + _whole_story(error.__cause__) + _whole_story(error.__context__)


def test_a_link_without_a_usable_cid_says_why_and_asks_nobody() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", BODY))) as (url, bad), client(url) as content:
            for link in (f"{url}/file.json", f"{LINK}/inside.json", "https://example.org/ipfs/nonsense", "x"):
                with pytest.raises(UnsupportedCID):
                    await content.get_bytes(link)
            assert bad.requests == []

    run(scenario())


def test_json_comes_back_exactly(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        async with content_service(tmp_path) as url, client(url) as content:
            value = await content.get_json(LINK)
            assert value == {"name": "größe", "amount": 20 * 10**18}
            assert type(value["amount"]) is int

    run(scenario())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 200_000, "depth limit"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_verified_bytes_that_are_not_json_are_invalid(tmp_path: Path, data: bytes, reason: str) -> None:
    async def scenario() -> None:
        (tmp_path / cid_of(data)).write_bytes(data)
        async with content_service(tmp_path) as url, client(url) as content:
            with pytest.raises(ContentInvalid, match=reason):
                await content.get_json(cid_of(data))

    run(scenario())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cipfs.ogpuscan.io",
        "ftp://host/ipfs",
        "http://",
        "http://a b/",
        "http://[",
        "file:///x",
        "http://a..b/",
        "http://a\u2028b/",
        "http://x:99999/",
        f"http://{'a' * 70}/",
    ],
)
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        AsyncContent(gateway_urls=[url])
    with pytest.raises(ConfigurationError):
        AsyncContent(upload_url=url)


def test_a_client_without_addresses_or_closed_says_so() -> None:
    async def scenario() -> None:
        content = AsyncContent()
        with pytest.raises(ConfigurationError):
            await content.get_bytes(CID)
        with pytest.raises(ConfigurationError):
            await content.put_bytes(b"", "x")
        await content.close()
        await content.close()
        closed = AsyncContent(gateway_urls=["http://127.0.0.1:1"])
        await closed.close()
        with pytest.raises(ClientClosed):
            await closed.get_bytes(CID)

    run(scenario())
