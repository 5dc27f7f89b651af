"""The local content service: what other clients send it, what they get, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests.support.http_servers import content_service, run

from ogpu.content import CID as ContentID
from ogpu.content import cid_of, matches, parse_cid
from ogpu.content.unixfs import KUBO_V1

LIMIT = 600_000
BODY = b'{"name": "a service"}'
CID = cid_of(BODY)


def multipart(
    data: bytes, *, field: str = "file", headers: str = "", before: bytes = b"", end: bytes = b"--"
) -> bytes:
    """A body as the requests library writes it."""
    head = f'--xyz\r\nContent-Disposition: form-data; name="{field}"; filename="taskConfig.json"\r\n'
    return before + f"{head}{headers}\r\n".encode() + data + b"\r\n--xyz" + end + b"\r\n"


async def post(
    url: str, body: bytes, kind: str = "multipart/form-data; boundary=xyz"
) -> tuple[int, dict[str, str]]:
    headers = {"Content-Type": kind}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/file/create", data=io.BytesIO(body), headers=headers) as response,
    ):
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def get(address: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        return await response.read()


def kept(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir())


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, LIMIT - 1, LIMIT])
def test_an_upload_is_kept_under_its_cid(tmp_path: Path, size: int) -> None:
    data = bytes(index & 255 for index in range(size))

    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            status, answer = await post(url, multipart(data, headers="Content-Type: application/json\r\n"))
            assert (status, answer) == (201, {"link": f"{url}/ipfs/{cid_of(data)}"})
            assert kept(tmp_path) == [cid_of(data)]
            assert (tmp_path / cid_of(data)).read_bytes() == data

    run(scenario())


@pytest.mark.parametrize("over", [1, 100_000, 5_000_000])
@pytest.mark.parametrize("announced", [True, False])
def test_one_byte_over_the_limit_is_refused_and_leaves_nothing(
    tmp_path: Path, over: int, announced: bool
) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url, aiohttp.ClientSession() as session:
            body = multipart(bytes(LIMIT + over))

            async def chunks() -> AsyncIterator[bytes]:
                for place in range(0, len(body), 50_000):
                    yield body[place : place + 50_000]

            async with session.post(
                f"{url}/file/create",
                data=body if announced and len(body) < 1_000_000 else chunks(),
                headers={"Content-Type": "multipart/form-data; boundary=xyz"},
            ) as response:
                assert response.status == 413
                assert await response.json() == {"error": "the file has more than 600,000 bytes"}
            assert kept(tmp_path) == []

    run(scenario())


def test_an_announced_body_that_is_too_large_is_refused_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(
                b"POST /file/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n"
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
            writer.close()

    run(scenario())


def test_a_client_that_sends_all_before_it_reads_still_sees_the_refusal(tmp_path: Path) -> None:
    """As requests and the standard library do."""

    def talk(host: str) -> None:
        connection = http.client.HTTPConnection(host, timeout=5)
        headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
        connection.request("POST", "/file/create", multipart(bytes(20_000_000)), headers)
        assert connection.getresponse().status == 413
        connection.close()

    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            await asyncio.to_thread(talk, urlsplit(url).netloc)

    run(scenario())


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (BODY, "application/json", 415),
        (BODY, "multipart/mixed; boundary=xyz", 415),
        (BODY, "multipart/form-data", 400),
        (BODY, "multipart/form-data; boundary=xyz", 400),
        (b"", "multipart/form-data; boundary=xyz", 400),
        (b"--xyz--\r\n", "multipart/form-data; boundary=xyz", 400),
        (multipart(BODY, field="other"), "multipart/form-data; boundary=xyz", 400),
        (
            multipart(BODY, before=multipart(b"another file", end=b"")[:-7]),
            "multipart/form-data; boundary=xyz",
            400,
        ),
        (multipart(BODY)[:-6], "multipart/form-data; boundary=xyz", 400),
        (multipart(BODY)[:60], "multipart/form-data; boundary=xyz", 400),
        (multipart(BODY, end=b"~~"), "multipart/form-data; boundary=xyz", 400),
        (multipart(BODY, headers="no colon here\r\n"), "multipart/form-data; boundary=xyz", 400),
        (multipart(BODY, headers="X: " + "a" * 20_000 + "\r\n"), "multipart/form-data; boundary=xyz", 400),
        (
            multipart(base64.b64encode(BODY), headers="Content-Transfer-Encoding: base64\r\n"),
            "multipart/form-data; boundary=xyz",
            415,
        ),
        (multipart(BODY, headers="Content-Encoding: gzip\r\n"), "multipart/form-data; boundary=xyz", 415),
        (
            multipart(BODY, headers="Content-Type: multipart/mixed; boundary=in\r\n"),
            "multipart/form-data; boundary=xyz",
            415,
        ),
        (multipart(bytes(70_000), field="other"), "multipart/form-data; boundary=xyz", 413),
    ],
)
def test_what_is_not_one_file_is_refused_and_leaves_nothing(
    tmp_path: Path, body: bytes, kind: str, status: int
) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            given, answer = await post(url, body, kind)
            assert given == status
            assert list(answer) == ["error"]
            assert kept(tmp_path) == []

    run(scenario())


def test_a_sender_that_hangs_up_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(
                b"POST /file/create HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n"
                b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n" + multipart(bytes(40_000))[:-9]
            )
            await writer.drain()
            await until(lambda: len(kept(tmp_path)) == 1)
            writer.close()
            await until(lambda: kept(tmp_path) == [])

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert caplog.records == []


def test_a_reader_that_hangs_up_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        data = bytes(40_000_000)
        (tmp_path / cid_of(data)).write_bytes(data)
        async with content_service(tmp_path) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(f"GET /ipfs/{cid_of(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readexactly(100_000)
            writer.transport.abort()
            (tmp_path / CID).write_bytes(BODY)
            assert await get(f"{url}/ipfs/{CID}") == BODY

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert caplog.records == []


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def test_fields_around_the_file_are_passed_over_and_the_connection_is_kept(tmp_path: Path) -> None:
    """As the standard library's client sends it, over one connection."""
    note = b'--xyz\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'

    async def scenario() -> None:
        async with content_service(tmp_path, limit=LIMIT) as url:
            await asyncio.to_thread(talk, urlsplit(url).netloc)

    def talk(host: str) -> None:
        connection = http.client.HTTPConnection(host, timeout=5)
        try:
            connection.connect()
            socket = connection.sock
            for data in (BODY, b"second", bytes(300_000)):
                headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
                body = multipart(data, before=note, end=b"\r\n" + note[7:-2] + b"\r\n--xyz--")
                connection.request("POST", "/file/create", body, headers)
                response = connection.getresponse()
                assert (response.status, cid_of(data).encode() in response.read()) == (201, True)
                connection.request("GET", f"/ipfs/{cid_of(data)}")
                assert connection.getresponse().read() == data
            assert connection.sock is socket
        finally:
            connection.close()

    run(scenario())


def test_content_outlives_the_service_and_left_overs_do_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with content_service(tmp_path) as url:
            await post(url, multipart(BODY))
        (tmp_path / "crashed.part").write_bytes(b"half")
        async with content_service(tmp_path) as url:
            assert await get(f"{url}/ipfs/{CID}") == BODY
        assert kept(tmp_path) == [CID]

    run(scenario())


def test_the_same_bytes_at_the_same_time_are_fine(tmp_path: Path) -> None:
    data = bytes(500_000)

    async def scenario() -> None:
        async with content_service(tmp_path) as url:
            given = await asyncio.gather(*(post(url, multipart(data)) for _ in range(12)))
            assert {(status, answer["link"]) for status, answer in given} == {
                (201, f"{url}/ipfs/{cid_of(data)}")
            }
        assert kept(tmp_path) == [cid_of(data)]

    run(scenario())


def test_others_are_answered_while_a_large_upload_goes_on(tmp_path: Path) -> None:
    data = bytes(20_000_000)

    async def scenario() -> None:
        async with content_service(tmp_path) as url, aiohttp.ClientSession() as session:
            await post(url, multipart(BODY))
            upload = asyncio.create_task(post(url, multipart(data)))
            answered = 0
            while not upload.done():
                async with asyncio.timeout(20), session.get(f"{url}/ipfs/{CID}") as response:
                    assert await response.read() == BODY
                    answered += 1
            assert (await upload)[0] == 201
            assert answered > 3

    run(scenario())


def test_the_answer_is_safe_to_open_and_cacheable(tmp_path: Path) -> None:
    page = b"<script>alert(1)</script>"

    async def scenario() -> None:
        async with content_service(tmp_path) as url, aiohttp.ClientSession() as session:
            for data, kind in ((BODY, "application/json"), (page, "application/octet-stream"), (b"", None)):
                (tmp_path / cid_of(data)).write_bytes(data)
                async with session.get(f"{url}/ipfs/{cid_of(data)}") as response:
                    assert response.content_type == kind or not data
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
                    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
                    assert "immutable" in response.headers["Cache-Control"]
                    assert response.headers["ETag"] == f'"{cid_of(data)}"'
                    assert response.content_length == len(data)

    run(scenario())


def test_head_and_not_modified_have_no_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        async with content_service(tmp_path) as url, aiohttp.ClientSession() as session:
            address = f"{url}/ipfs/{CID}"
            for _ in range(2):  # on the same connection, which a body would have spoilt
                async with session.head(address) as response:
                    assert (response.status, response.content_length) == (200, len(BODY))
                    assert await response.read() == b""
                async with session.get(address, headers={"If-None-Match": f'W/"x", "{CID}"'}) as response:
                    assert response.status == 304
                    assert await response.read() == b""

    run(scenario())


def test_a_v1_spelling_of_the_cid_finds_the_same_content(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / CID).write_bytes(BODY)
        spelled = str(ContentID(1, "dag-pb", parse_cid(CID).digest))
        assert matches(spelled, BODY)
        async with content_service(tmp_path) as url:
            assert await get(f"{url}/ipfs/{spelled}") == BODY

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/ipfs/{cid_of(b'unknown')}", 404),
        ("HEAD", f"/ipfs/{cid_of(b'unknown')}", 404),
        ("GET", f"/ipfs/{cid_of(b'unknown', KUBO_V1)}", 404),
        ("GET", "/ipfs/nonsense", 400),
        ("GET", "/ipfs/secret.txt", 400),
        ("GET", "/ipfs/x.part", 400),
        ("GET", "/ipfs/..%2Fsecret.txt", 400),
        ("GET", "/ipfs/%2e%2e%2fsecret.txt", 400),
        ("GET", "/ipfs/..", 400),
        ("GET", "/ipfs/../secret.txt", 404),
        ("GET", "/ipfs/%00", 400),
        ("GET", f"/ipfs/{CID}/inside", 404),
        ("GET", "/", 404),
        ("GET", "/file/create", 405),
        ("DELETE", f"/ipfs/{CID}", 405),
    ],
)
def test_nothing_else_can_be_read(tmp_path: Path, method: str, path: str, status: int) -> None:
    """Sent raw, since clients tidy paths up."""
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (store / "x.part").write_text("secret")

    async def scenario() -> bytes:
        async with content_service(store) as url:
            (store / "secret.txt").write_text("secret")
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

    answer = run(scenario())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2].replace(b"secret.txt", b"")
    assert b"application/json" in answer
    assert method == "HEAD" or b'{"error": ' in answer


def test_a_store_that_fails_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store = tmp_path / "store"
        async with content_service(store) as url:
            store.rmdir()
            status, answer = await post(url, multipart(BODY))
            assert status == 507
            assert "store failed" in answer["error"]
            assert str(tmp_path) not in answer["error"]

    run(scenario())
    assert "the content store failed" in caplog.text
