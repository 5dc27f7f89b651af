"""Kubo nodes and folders in place of the network's service: named by a setting, and not believed either."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.http_servers import QUICK, answer, answers, client, misbehaving, run, serving
from tests.support.ipfs import KuboNode
from tests.support.vectors import DEFAULTS, FILES, STORED, StoredFile, content

from ogpu import Client
from ogpu.content import AsyncContent, ContentOptions, Limits, cid_of, resolve_options
from ogpu.content.unixfs import KUBO_V1
from ogpu.errors import (
    ConfigurationError,
    ContentError,
    ContentMismatch,
    ContentTooLarge,
    ContentUnavailable,
    InvalidInput,
)
from ogpu.networks import MAINNET

SMALL = [vector for vector in DEFAULTS if vector.get("length", 0) < 4_000_000]


def test_a_kubo_node_takes_and_gives_what_a_real_implementation_names(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = KuboNode()
        async with serving(node.app()) as url, client(store=f"kubo:{url}", limits=Limits()) as there:
            for vector in SMALL:
                data = content(vector)
                link = await there.put_bytes(data, "größe ?&.bin")
                assert link == f"ipfs://{vector['v0']}"
                assert await there.get_bytes(link) == data
            assert all(asked.startswith(("/api/v0/add?", "/api/v0/cat?arg=Qm")) for asked in node.asked)
            (tmp_path / "file").write_bytes(content(SMALL[-1]))
            assert await there.put_file(tmp_path / "file") == f"ipfs://{SMALL[-1]['v0']}"

    run(scenario())


@pytest.mark.parametrize("stored", FILES, ids=lambda stored: stored.name)
def test_a_kubo_node_gives_blocks_of_any_layout(stored: StoredFile) -> None:
    async def scenario() -> None:
        async with serving(KuboNode().app()) as url, client(store=f"kubo:{url}/api/v0/") as there:
            assert await there.get_bytes(stored.root) == stored.data

    run(scenario())


def test_a_kubo_node_that_names_other_bytes_is_refused() -> None:
    async def scenario() -> None:
        async with serving(KuboNode(lie=True).app()) as url, client(store=f"kubo:{url}") as there:
            with pytest.raises(ContentMismatch) as caught:
                await there.put_bytes(b"hello world\n")
            assert caught.value.facts["named"] == cid_of(b"hello world")

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            b'{"Name":"f","Hash":"bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"}',
            ContentMismatch,
        ),
        (b'{"Name":"f","Hash":"nonsense"}', ContentMismatch),
        (b'{"Name":"f"}', ContentUnavailable),
        (b"[]", ContentUnavailable),
        (b"404 page not found", ContentUnavailable),
    ],
)
def test_an_answer_of_a_kubo_node_that_names_nothing_is_refused(
    reply: bytes, error: type[ContentError]
) -> None:
    async def scenario() -> None:
        conduct = answers(answer("200 OK", reply))
        async with misbehaving(conduct) as (url, _), client(store=f"kubo:{url}") as there:
            with pytest.raises(error):
                await there.put_bytes(b"x")

    run(scenario())


def test_what_a_kubo_node_does_not_have_comes_from_a_gateway_and_it_is_asked_once() -> None:
    async def scenario() -> None:
        data = b"only at the gateway"
        node = KuboNode()
        async with (
            serving(node.app()) as url,
            misbehaving(answers(answer("200 OK", data))) as (gateway, _),
            client(gateway, store=f"kubo:{url}") as there,
        ):
            assert await there.get_bytes(cid_of(data)) == data
            with pytest.raises(ContentMismatch):
                await there.get_bytes(cid_of(b"nowhere"))
        assert len(node.asked) == 2

    run(scenario())


def test_a_v1_name_of_the_same_bytes_is_taken() -> None:
    """As a node gives it whose configuration wins over our options."""

    async def scenario() -> None:
        reply = answer("200 OK", f'{{"Name":"f","Hash":"{cid_of(b"x", KUBO_V1)}"}}'.encode())
        async with misbehaving(answers(reply)) as (url, _), client(store=f"kubo:{url}") as there:
            assert await there.put_bytes(b"x") == f"ipfs://{cid_of(b'x', KUBO_V1)}"

    run(scenario())


# --- folders


def test_a_folder_keeps_each_file_under_its_cid_and_gives_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"

    async def scenario() -> None:
        async with client(store=f"folder:{folder}", limits=Limits()) as there:
            for vector in SMALL:
                link = await there.put_bytes(content(vector))
                assert link == f"ipfs://{vector['v0']}"
                assert (folder / vector["v0"]).read_bytes() == content(vector)
                assert await there.get_bytes(link) == content(vector)
            source = tmp_path / "source"
            source.write_bytes(content(SMALL[-1]))
            seen: list[tuple[int, int | None]] = []
            await there.put_file(source, progress=lambda *done: seen.append(done))
            assert seen[-1] == (source.stat().st_size,) * 2
            assert await there.get_file(SMALL[-1]["v0"], tmp_path / "back") == source.stat().st_size
            with pytest.raises(ContentUnavailable):
                await there.get_bytes(cid_of(b"not there"))
            with pytest.raises(ContentTooLarge):
                await there.put_file(source, limits=Limits(max_bytes=10))

    run(scenario())
    assert {path.name for path in folder.iterdir()} == {vector["v0"] for vector in SMALL}


def test_a_raw_file_lies_in_a_folder_under_its_own_cid(tmp_path: Path) -> None:
    async def scenario() -> None:
        cid = cid_of(b"raw", KUBO_V1)
        (tmp_path / cid).write_bytes(b"raw")
        async with client(store=f"folder:{tmp_path}") as there:
            assert await there.get_bytes(cid) == b"raw"

    run(scenario())


def test_a_spoilt_file_in_a_folder_is_not_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        cid = cid_of(b"true")
        (tmp_path / cid).write_bytes(b"false")
        async with client(store=f"folder:{tmp_path}") as there:
            with pytest.raises(ContentMismatch, match="in the content folder"):
                await there.get_bytes(cid)

    run(scenario())


def test_a_folder_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "file").write_bytes(b"")
        async with client(store=f"folder:{tmp_path / 'file'}") as there:
            with pytest.raises(ContentError, match="cannot be written"):
                await there.put_bytes(b"x")

    run(scenario())


# --- settings


def test_the_setting_names_the_store_and_an_argument_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OGPU_CONTENT_STORE", f"folder:{tmp_path / 'setting'}")
    monkeypatch.setenv("OGPU_CONTENT_GATEWAYS", "https://one.example https://two.example/ipfs")
    with Client("mainnet") as client:
        link = client.content.put_json({"a": 1})
        assert link == "https://cipfs.ogpuscan.io/ipfs/" + cid_of(b'{"a":1}')
        assert client.content.get_json(link) == {"a": 1}
    with Client("mainnet", content=f"folder:{tmp_path / 'argument'}") as client:
        client.content.put_bytes(b"x")
        client.content.put_file(tmp_path / "argument" / cid_of(b"x"))
        assert client.content.get_file(cid_of(b"x"), tmp_path / "back") == 1
    assert len(list((tmp_path / "setting").iterdir())) == len(list((tmp_path / "argument").iterdir())) == 1
    assert resolve_options(None).gateways == ("https://one.example", "https://two.example/ipfs")
    own = ContentOptions(store=f"folder:{tmp_path}", gateways=("https://three.example",))
    assert resolve_options(own).gateways == ("https://three.example",)
    assert resolve_options(own).store == f"folder:{tmp_path}"


@pytest.mark.parametrize(
    "store",
    [
        "",
        "kubo",
        "kubo:",
        "kubo:5001",
        "kubo:ftp://h",
        "kubo:http://h/?a=b",
        "folder:",
        "folder:~nobodyxyz/x",
        "s3://bucket",
        "/a/folder",
    ],
)
def test_a_store_of_no_known_kind_is_a_configuration_error(store: str) -> None:
    with pytest.raises(ConfigurationError):
        resolve_options(store)
    with pytest.raises(ConfigurationError):
        Client("mainnet", content=store)


@pytest.mark.parametrize(("value", "size"), [("off", 0), ("0", 0), (" OFF ", 0), ("1000", 1000)])
def test_the_caches_size_is_a_setting(monkeypatch: pytest.MonkeyPatch, value: str, size: int) -> None:
    monkeypatch.setenv("OGPU_CONTENT_CACHE", value)
    assert resolve_options(None).cache_bytes == size
    assert resolve_options(ContentOptions(cache_bytes=7)).cache_bytes == 7


@pytest.mark.parametrize("value", ["on", "1 GB", "-1", "1e9", "٣"])
def test_a_size_that_is_none_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OGPU_CONTENT_CACHE", value)
    with pytest.raises(ConfigurationError, match="OGPU_CONTENT_CACHE"):
        resolve_options(None)


def test_options_of_the_wrong_kind_are_refused() -> None:
    for wrong in (5, ["kubo:http://h"], ContentOptions(cache_bytes=-1), ContentOptions(cache_bytes=True)):
        with pytest.raises(InvalidInput):
            resolve_options(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        resolve_options(ContentOptions(gateways=("not a url",)))


def test_a_link_gives_no_secret_of_the_gateway_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        gateway = "https://me:secret@gateway.example/ipfs?key=secret"
        store = f"folder:{tmp_path}"
        async with AsyncContent(gateway_urls=[gateway], store=store, limits=QUICK) as there:
            assert await there.put_bytes(b"x") == f"https://gateway.example/ipfs/{cid_of(b'x')}"
        for path in ("secret", "secret/ipfs", "v1/secret/ipfs/"):
            gateways = [f"https://gateway.example/{path}"]
            async with AsyncContent(gateway_urls=gateways, store=store, limits=QUICK) as there:
                assert await there.put_bytes(b"x") == f"ipfs://{cid_of(b'x')}"
                assert await there.get_bytes(f"ipfs://{cid_of(b'x')}") == b"x"
        options = ContentOptions(store="kubo:http://me:secret@h", gateways=(gateway,))
        assert "secret" not in repr(resolve_options(options))
        async with AsyncContent.of_network(MAINNET, resolve_options(options)) as there:
            assert "secret" not in repr(there)

    run(scenario())


def test_the_example_files_of_another_layout_are_no_default_ones() -> None:
    assert not any(cid_of(stored.data) == stored.root for stored in STORED.values())
