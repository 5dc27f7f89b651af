"""Plain links, which anybody may have written: no trick of spelling or names leads to an inner address."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from tests.support.http_servers import BODY, CID, QUICK, Conduct, answer, answers, drip, misbehaving, run

from ogpu.content import AsyncContent, Limits
from ogpu.content.addresses import not_public
from ogpu.errors import ContentBlocked, ContentTooLarge, ContentUnavailable, UnsupportedCID

PUBLIC = "93.184.216.34"
NOBODY = "2a7f:ffff::1"  # public by its form; no network has it

# What the resolver of these tests says of a name, besides what it makes of numbers as the C library does.
NAMES = {
    "public.example": [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "private.example": ["192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "one-of-two.example": [PUBLIC, "10.0.0.1"],
    "v6-of-two.example": [PUBLIC, "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "compatible.example": ["::127.0.0.1"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "6to4.example": ["2002:7f00:1::"],
    "zone.example": ["fe80::1%eth0"],
    "zero.example": ["0.0.0.0"],
    "cgnat.example": ["100.64.7.7"],
    "nothing.example": [],
    "nonsense.example": ["not an address"],
    "short.example": ["127.1"],
}

TRICKS = {
    # IPv4, as it is and as resolvers understand it
    "loopback": "https://127.0.0.1/x",
    "the end of loopback": "https://127.255.255.254/x",
    "short": "https://127.1/x",
    "short in three": "https://127.0.1/x",
    "decimal": "https://2130706433/x",
    "hexadecimal": "https://0x7f000001/x",
    "hexadecimal parts": "https://0x7f.0x0.0x0.0x1/x",
    "upper hexadecimal": "https://0X7F.0.0.1/x",
    "octal": "https://0177.0.0.1/x",
    "octal in one": "https://017700000001/x",
    "mixed": "https://0x7f.1/x",
    "leading zeros": "https://127.000.000.001/x",
    "many leading zeros": "https://0000127.0.0.1/x",
    "overflow": "https://6425673729/x",
    "a part too large": "https://127.0.0.257/x",
    "five parts": "https://127.0.0.0.1/x",
    "a dot at the end": "https://127.0.0.1./x",
    "two dots": "https://127..0.0.1/x",
    "percent-encoded": "https://%31%32%37.0.0.1/x",
    "full-width digits": "https://１２７.０.０.１/x",
    "circled digits": "https://①②⑦.⓪.⓪.①/x",
    "ideographic stops": "https://127。0。0。1/x",
    "arabic digits": "https://١٢٧.٠.٠.١/x",
    "zero": "https://0.0.0.0/x",
    "zero in one": "https://0/x",
    "this network": "https://0.1.2.3/x",
    "private 10": "https://10.0.0.1/x",
    "private 172": "https://172.16.0.1/x",
    "the end of private 172": "https://172.31.255.255/x",
    "private 192": "https://192.168.0.1/x",
    "link-local": "https://169.254.0.1/x",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata decimal": "https://2852039166/latest/meta-data/",
    "metadata hexadecimal": "https://0xa9fea9fe/latest/meta-data/",
    "metadata octal": "https://0251.0376.0251.0376/latest/meta-data/",
    "a carrier's NAT": "https://100.64.0.1/x",
    "a cloud's metadata in it": "https://100.100.100.200/latest/meta-data/",
    "a cloud's wire server": "https://168.63.129.16/metadata",
    "a cloud's metadata among protocols": "https://192.0.0.192/opc/v2/",
    "documentation 1": "https://192.0.2.1/x",
    "documentation 2": "https://198.51.100.1/x",
    "documentation 3": "https://203.0.113.1/x",
    "benchmarks": "https://198.19.255.255/x",
    "6to4 relay": "https://192.88.99.1/x",
    "multicast": "https://224.0.0.1/x",
    "multicast discovery": "https://239.255.255.250/x",
    "reserved": "https://240.0.0.1/x",
    "broadcast": "https://255.255.255.255/x",
    # IPv6
    "v6 loopback": "https://[::1]/x",
    "v6 loopback in full": "https://[0:0:0:0:0:0:0:1]/x",
    "v6 unspecified": "https://[::]/x",
    "v6 mapped": "https://[::ffff:127.0.0.1]/x",
    "v6 mapped hexadecimal": "https://[::ffff:7f00:1]/x",
    "v6 mapped metadata": "https://[::ffff:169.254.169.254]/x",
    "v6 mapped public": f"https://[::ffff:{PUBLIC}]/x",
    "v6 compatible": "https://[::127.0.0.1]/x",
    "v6 translated": "https://[::ffff:0:127.0.0.1]/x",
    "v6 link-local": "https://[fe80::1]/x",
    "v6 link-local with a zone": "https://[fe80::1%25eth0]/x",
    "v6 public with a zone": "https://[2606:4700:4700::1111%25lo]/x",
    "v6 unique local": "https://[fc00::1]/x",
    "v6 metadata": "https://[fd00:ec2::254]/latest/meta-data/",
    "v6 another metadata": "https://[fd20:ce::254]/computeMetadata/v1/",
    "v6 site-local": "https://[fec0::1]/x",
    "v6 multicast": "https://[ff02::1]/x",
    "v6 6to4": "https://[2002:7f00:1::]/x",
    "v6 6to4 metadata": "https://[2002:a9fe:a9fe::]/x",
    "v6 Teredo": "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/x",
    "v6 ORCHID": "https://[2001:20::1]/x",
    "v6 NAT64": "https://[64:ff9b::7f00:1]/x",
    "v6 NAT64 metadata": "https://[64:ff9b::169.254.169.254]/x",
    "v6 local NAT64": "https://[64:ff9b:1::7f00:1]/x",
    "v6 documentation": "https://[2001:db8::1]/x",
    "v6 new documentation": "https://[3fff::1]/x",
    "v6 discarding": "https://[100::1]/x",
    "v6 segment routing": "https://[5f00::1]/x",
    "v6 public in full": "https://[2606:4700:4700:0:0:0:0:1111]/x",
    "v6 unclosed": "https://[::1/x",
    "an address of the future": "https://[v1.127.0.0.1]/x",
    # names
    "localhost": "https://localhost/x",
    "upper localhost": "https://LOCALHOST/x",
    "localhost with a dot": "https://localhost./x",
    "below localhost": "https://a.localhost/x",
    "localdomain": "https://localhost.localdomain/x",
    "no domain": "https://router/x",
    "mdns": "https://printer.local/x",
    "metadata by name": "https://metadata.google.internal/computeMetadata/v1/",
    "full-width localhost": "https://ｌｏｃａｌｈｏｓｔ/x",
    "a name of loopback": "https://127.0.0.1.nip.io/x",
    "a name of a private address": "https://private.example/x",
    "a name of metadata": "https://metadata.example/x",
    "a name of two": "https://one-of-two.example/x",
    "a name of two families": "https://v6-of-two.example/x",
    "a name of a mapped address": "https://mapped.example/x",
    "a name of a compatible address": "https://compatible.example/x",
    "a name of a NAT64 address": "https://nat64.example/x",
    "a name of a 6to4 address": "https://6to4.example/x",
    "a name of an address with a zone": "https://zone.example/x",
    "a name of zero": "https://zero.example/x",
    "a name of a carrier's NAT": "https://cgnat.example/x",
    "a name of nothing": "https://nothing.example/x",
    "a name of nonsense": "https://nonsense.example/x",
    "a name of a short address": "https://short.example/x",
    # the rest of a link
    "a user name": "https://public.example@127.0.0.1/x",
    "a password": "https://me:secret@public.example/x",
    "an empty user name": "https://@public.example/x",
    "a backslash": "https://public.example\\@127.0.0.1/x",
    "a tabulator": "https://127.0.0.1\t.public.example/x",
    "a line break": "https://public.example/x\r\nHost: 127.0.0.1",
    "a space": "https://public.example /x",
    "a null byte": "https://public.example\0/x",
    "another port": "https://public.example:8443/x",
    "a port of mail": "https://public.example:25/x",
    "port 80": "https://public.example:80/x",
    "port 0": "https://public.example:0/x",
    "a port that is none": "https://public.example:99999/x",
    "plain http": "http://public.example/x",
    "http on 443": "http://public.example:443/x",
    "a file": "file:///etc/passwd",
    "a file with a host": "file://localhost/etc/passwd",
    "ftp": "ftp://public.example/x",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "a websocket": "wss://public.example/x",
    "no host": "https:///x",
    "only a port": "https://:443/x",
}


class Resolver:
    """Answers as a careless resolver would, and counts."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = {name.replace("_", "."): list(answers) for name, answers in names.items()}

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if answers := self._answers.get(host):
            return answers.pop(0) if len(answers) > 1 else answers[0]
        if host in NAMES:
            return NAMES[host]
        try:
            return [socket.inet_ntoa(socket.inet_aton(host))]
        except OSError:
            return [PUBLIC]


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused_and_nothing_is_asked(trick: str) -> None:
    async def scenario() -> None:
        async with AsyncContent(limits=QUICK, resolve=Resolver()) as content:
            with pytest.raises(ContentBlocked) as caught:
                await content.get_bytes(TRICKS[trick], allow_unverified=True)
            assert not caught.value.retryable
            assert caught.value.facts["reason"]
            assert "secret" not in str(caught.value)
            assert str(caught.value).isprintable()

    run(scenario())


@pytest.mark.parametrize(
    "link",
    [
        "data:text/plain,x",
        "javascript:alert(1)",
        "//public.example/x",
        "https:public.example",
        "public.example/x",
    ],
)
def test_what_is_no_link_is_no_cid_either(link: str) -> None:
    async def scenario() -> None:
        async with AsyncContent(limits=QUICK, resolve=Resolver()) as content:
            with pytest.raises(UnsupportedCID):
                await content.get_bytes(link, allow_unverified=True)

    run(scenario())


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "1.1.1.1",
        "223.255.255.255",
        "172.15.255.255",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700:4700::1111",
        "2a00::1",
        "64:ff9b::101:101",
    ],
)
def test_public_addresses_are_not_refused(address: str) -> None:
    assert not_public(address) is None


@pytest.mark.parametrize("address", ["2606:4700:4700::1111%lo", "fe80::1%eth0", "::ffff:1.1.1.1", "x", ""])
def test_other_addresses_are_not_public(address: str) -> None:
    assert not_public(address)


def test_no_plain_link_is_fetched_unless_it_is_allowed() -> None:
    async def scenario() -> None:
        resolver = Resolver()
        async with AsyncContent(limits=QUICK, resolve=resolver) as content:
            for get in (content.get_bytes, content.get_json):
                with pytest.raises(UnsupportedCID, match="has no CID"):
                    await get("https://public.example/x")
        assert resolver.asked == []

    run(scenario())


def test_a_link_with_a_cid_is_never_fetched_from_its_host() -> None:
    async def scenario() -> None:
        resolver = Resolver()
        async with (
            misbehaving(answers(answer("200 OK", BODY))) as (gateway, _),
            AsyncContent(gateway_urls=[gateway], limits=QUICK, resolve=resolver) as content,
        ):
            assert (
                await content.get_bytes(f"https://public.example/ipfs/{CID}", allow_unverified=True) == BODY
            )
        assert resolver.asked == []

    run(scenario())


# --- what is fetched, from a server that the network's definition allows


@asynccontextmanager
async def tls_server(
    monkeypatch: pytest.MonkeyPatch, folder: Path, certificate: str = "files.example"
) -> AsyncIterator[tuple[int, list[str]]]:
    """An https server on loopback that this machine trusts; its port, and the names that it was asked by."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(certificate).configure_cert(context)
    names: list[str] = []

    def greeted(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(f"SNI {name}")

    context.sni_callback = greeted

    async def get(request: web.Request) -> web.Response:
        names.append(f"Host {request.host}")
        if request.path == "/away":
            raise web.HTTPFound("https://127.0.0.1/x")
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/{path}", get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1], names
    finally:
        await runner.cleanup()


def test_the_name_is_resolved_once_and_the_connection_goes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer, which is for whoever resolves again, leads nowhere."""

    async def scenario() -> None:
        async with tls_server(monkeypatch, tmp_path) as (port, names):
            own = f"https://files.example:{port}"
            resolver = Resolver(files_example=[["127.0.0.1"], ["127.0.0.9"]])
            async with AsyncContent(gateway_urls=[own], limits=QUICK, resolve=resolver) as content:
                assert await content.get_bytes(f"{own}/metadata.json", allow_unverified=True) == BODY
                assert resolver.asked == [("files.example", port)]
                assert names == ["SNI files.example", f"Host files.example:{port}"]
            resolver = Resolver(files_example=[["127.0.0.1"]])
            async with AsyncContent(gateway_urls=[own], limits=QUICK, resolve=resolver) as content:
                value = await content.get_json(f"{own}/metadata.json", allow_unverified=True)
                assert value["name"] == "größe"
                size = await content.get_file(f"{own}/x", tmp_path / "file", allow_unverified=True)
                assert (tmp_path / "file").read_bytes() == BODY
                assert size == len(BODY)
                with pytest.raises(ContentUnavailable, match="redirects"):
                    await content.get_bytes(f"{own}/away", allow_unverified=True)

    run(scenario())


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with tls_server(monkeypatch, tmp_path, "other.example") as (port, names):
            own = f"https://files.example:{port}"
            resolver = Resolver(files_example=[["127.0.0.1"]])
            async with AsyncContent(gateway_urls=[own], limits=QUICK, resolve=resolver) as content:
                with pytest.raises(ContentUnavailable):
                    await content.get_bytes(f"{own}/x", allow_unverified=True)
            assert not [name for name in names if name.startswith("Host")]

    run(scenario())


def test_a_name_that_is_public_first_and_ours_later_is_asked_for_once() -> None:
    """DNS rebinding: what was checked is what is connected to, and nobody answers there in these tests."""

    async def scenario() -> None:
        resolver = Resolver(rebind_example=[[NOBODY], ["127.0.0.1"]])
        limits = Limits(total_seconds=0.5, idle_seconds=0.3)
        async with AsyncContent(limits=limits, resolve=resolver) as content:
            with pytest.raises(ContentUnavailable):
                await content.get_bytes("https://rebind.example/x", allow_unverified=True)
        assert resolver.asked == [("rebind.example", 443)]

    run(scenario())


def test_a_proxy_of_the_environment_is_not_asked_to_go_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", BODY))) as (proxy, bad):
            for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy)
            limits = Limits(total_seconds=0.5, idle_seconds=0.3)
            async with AsyncContent(limits=limits, resolve=Resolver(nobody_example=[[NOBODY]])) as content:
                with pytest.raises(ContentUnavailable):
                    await content.get_bytes("https://nobody.example/x", allow_unverified=True)
            assert bad.requests == []

    run(scenario())


def test_only_the_networks_own_address_is_exempt() -> None:
    async def scenario() -> None:
        conduct = answers(answer("200 OK", BODY))
        async with misbehaving(conduct) as (own, _), misbehaving(conduct) as (other, bad):
            async with AsyncContent(gateway_urls=[own, other], limits=QUICK) as content:
                assert await content.get_bytes(f"{own}/metadata.json", allow_unverified=True) == BODY
                for link in (
                    f"{other}/metadata.json",
                    own.replace("http:", "https:") + "/x",
                    own.replace("127.0.0.1", "localhost") + "/x",
                    own.replace("127.0.0.1", "127.1") + "/x",
                    own.replace("http://", "http://me@") + "/x",
                    own.replace("http://", f"http://{own[7:]}@127.0.0.2:1/") + "/x",
                ):
                    with pytest.raises(ContentBlocked):
                        await content.get_bytes(link, allow_unverified=True)
            assert bad.requests == []

    run(scenario())


ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("conduct", "error", "reason"),
    [
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b".", 0.02), ContentUnavailable, "within"),
        (drip(ENDLESS, bytes(100_000), 0), ContentTooLarge, "more than"),
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n"), ContentTooLarge, "more than"),
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nshort"), ContentUnavailable, "broke off"),
        (
            answers(answer("200 OK", gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")),
            ContentUnavailable,
            "encoded body",
        ),
        (answers(answer("404 Not Found", b"")), ContentUnavailable, "HTTP 404"),
        (answers(answer("302 Found", b"", "Location: http://127.0.0.1/x")), ContentUnavailable, "redirects"),
        (answers(answer("301 Moved", b"", "Location: /elsewhere")), ContentUnavailable, "redirects"),
        (answers(answer("308 Moved", b"", "Location: file:///etc/passwd")), ContentUnavailable, "redirects"),
        (answers(answer("200 OK", b"", "Refresh: 0; url=http://127.0.0.1/")), None, ""),
        (answers(b"SSH-2.0-OpenSSH\r\n\r\n"), ContentUnavailable, "proper HTTP"),
    ],
    ids=["drip", "endless", "announced", "short", "bomb", "404", "302", "301", "308", "refresh", "ssh"],
)
def test_a_server_of_a_plain_link_is_bounded_too(
    conduct: Conduct, error: type[Exception] | None, reason: str
) -> None:
    limits = Limits(max_bytes=1_000_000, total_seconds=0.5, idle_seconds=5)

    async def scenario() -> None:
        async with misbehaving(conduct) as (own, bad):
            async with AsyncContent(gateway_urls=[own], limits=limits) as content:
                if error is None:
                    assert await content.get_bytes(f"{own}/x", allow_unverified=True) == b""
                else:
                    with pytest.raises(error, match=reason):
                        await content.get_bytes(f"{own}/x", allow_unverified=True)
            assert len(bad.requests) == 1

    run(scenario())


def test_a_name_that_nobody_knows_is_unavailable() -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def slow(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    async def scenario() -> None:
        limits = Limits(total_seconds=0.3)
        for resolve in (unknown, slow):
            async with AsyncContent(limits=limits, resolve=resolve) as content:
                with pytest.raises(ContentUnavailable):
                    await content.get_bytes("https://public.example/x", allow_unverified=True)

    run(scenario())


def test_the_systems_resolver_is_asked_when_there_is_no_other() -> None:
    async def scenario() -> None:
        async with misbehaving(answers(answer("200 OK", BODY))) as (base, _):
            own = base.replace("127.0.0.1", "localhost")
            async with AsyncContent(gateway_urls=[own], limits=QUICK) as content:
                assert await content.get_bytes(f"{own}/x", allow_unverified=True) == BODY

    run(scenario())
