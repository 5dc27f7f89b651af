"""The API over a real network's index: what it answers, and what it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from ogpu import Client
from ogpu.networks import load_network_file
from ogpu.rpc.codec import checksum
from ogpu.web.warming import asked_first
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE
from tests.support.serving import Server, serve

LISTS = (
    *("sources", "registrations", "tasks", "attempts", "responses", "payments", "providers", "masters"),
    *("agents", "accounts", "movements", "events", "blocks", "reorganisations"),
)


@pytest.fixture(scope="module")
def strict(
    worked_network: RunningNetwork, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A further server on the same index, that allows little."""
    index = server.log.with_name("index.sqlite3")
    options = ("--no-index", "--rate-limit", "2", "--max-url", "200", "--max-page", "2")
    names = ("--allow-host", "index.example", "--allow-origin", "https://app.example")
    folder = tmp_path_factory.mktemp("strict")
    with serve(folder, worked_network.file, *options, *names, index=str(index)) as running:
        wait_until(running.ready, 60, "the index")
        yield running


def listed(server: Server, name: str, limit: int) -> list[Any]:
    """A list, page by page."""
    found, cursor = [], ""
    while True:
        page = server.get(f"/api/{name}?limit={limit}{cursor}").json
        found += page["data"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_told_whole_page_by_page(server: Server, name: str) -> None:
    found = listed(server, name, 7)
    assert found == listed(server, name, 500)
    assert found or name in ("reorganisations",)


def test_a_task_is_told_as_the_chain_has_it(server: Server, worked_network: RunningNetwork) -> None:
    tasks = server.get("/api/tasks?status=FINALIZED&limit=500").json["data"]
    network = load_network_file(worked_network.file)
    with Client(network, private_key=worked_network.key(), journal=":memory:") as client:
        for told in tasks:
            data = server.get(f"/api/tasks/{told['address'].lower()}").json["data"]
            task = client.get_task(told["address"])
            (response,) = [each for each in client.get_task_responses(task.address) if each.confirmed]
            expected = {**response.to_dict(), "payment": str(response.payment), "source": task.source}
            assert {name: data[name] for name in expected} == expected
            assert data["taskStatus"] == "FINALIZED"
            assert data["life"]["task"]["payment"] == str(task.payment)
            assert [each["address"] for each in data["life"]["responses"]] == [response.address]
            assert data["life"]["payment"]["state"] == "paid"
    assert len(tasks) >= 4


def test_a_task_without_a_confirmed_response_has_no_address(server: Server) -> None:
    for status in ("NEW", "RESPONDED"):
        (told, *_) = server.get(f"/api/tasks?status={status}").json["data"]
        data = server.get(f"/api/tasks/{told['address']}").json["data"]
        assert data["taskStatus"] == status
        assert not {"address", "data", "confirmed"} & set(data)


def test_a_confirmation_is_told_right_after_it_was_mined(
    server: Server, worked_network: RunningNetwork
) -> None:
    network = load_network_file(worked_network.file)
    with Client(network, private_key=worked_network.key(), journal=":memory:") as client:
        (told, *_) = server.get("/api/tasks?status=RESPONDED").json["data"]
        (response, *_) = client.get_task_responses(told["address"])
        assert "address" not in server.get(f"/api/tasks/{told['address']}").json["data"]
        (indexer,) = psutil.Process(server.process.pid).children()
        indexer.suspend()
        try:
            client.confirm_response(response.address)
            with ThreadPoolExecutor(1) as thread:
                asked = thread.submit(server.get, f"/api/tasks/{told['address']}")
                assert server.get("/api/sources").status == 200, "others need not wait"
                indexer.resume()
                assert asked.result().json["data"]["address"] == response.address
        finally:
            indexer.resume()


def test_what_did_not_change_is_not_sent_again(server: Server, worked_network: RunningNetwork) -> None:
    path = "/api/movements?kind=Deposited"
    first = server.get(path)
    etag = first.headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = server.get(path, If_None_Match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert server.get(path + "&limit=7", If_None_Match=etag).status == 200
    deposit(worked_network)
    wait_until(lambda: server.get(path, If_None_Match=etag).status == 200, what="the deposit")
    assert len(server.get(path).json["data"]) == len(first.json["data"]) + 1


def test_a_page_is_kept_only_while_the_index_stays_as_it_is(
    server: Server, worked_network: RunningNetwork
) -> None:
    movements, page = "/api/movements?kind=Deposited&limit=1", f"/accounts/{worked_network.address()}"
    before = server.get(movements).json["data"]
    assert before[0]["moved"]["tx"].encode() in server.get(page).body
    deposit(worked_network)
    wait_until(lambda: server.get(movements).json["data"] != before, what="the deposit")
    newest = server.get(movements).json["data"][0]["moved"]["tx"]
    assert newest.encode() in server.get(page).body


def test_what_is_kept_is_kept_for_the_very_question(server: Server) -> None:
    (task,) = server.get("/api/tasks?limit=1").json["data"]
    question = f"/api/search?q={task['address'][:12]}"
    assert server.get(f"{question}#x").json["data"] == [], "a raw # is a part of the words"
    assert [hit["id"] for hit in server.get(question).json["data"]] == [task["address"]]


@pytest.mark.parametrize("path", asked_first())
def test_what_a_server_asks_itself_first_is_there(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == (404 if path.startswith("/api/tasks/") else 200)


def deposit(network: RunningNetwork) -> None:
    """Something that happens."""
    network.transact("Vault", "deposit", network.address(), value=PRICE)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/nothing", 404, "not_found"),
        ("/api/tasks/0x1234", 422, "invalid"),
        ("/api/tasks/" + "0x" + "11" * 20, 404, "not_found"),
        ("/api/tasks?limit=501", 422, "invalid"),
        ("/api/tasks?limit=0", 422, "invalid"),
        ("/api/tasks?status=DONE", 422, "invalid"),
        ("/api/tasks?statuz=NEW", 422, "invalid"),
        ("/api/tasks?sort=colour", 422, "invalid"),
        ("/api/tasks?source=0xzz", 422, "invalid"),
        ("/api/tasks?cursor=AAAA", 400, "bad_request"),
        ("/api/events?since=-1", 422, "invalid"),
        ("/api/statistics?width=61", 422, "invalid"),
        ("/api/blocks/999999999999999999999", 422, "invalid"),
        ("/api/search", 422, "invalid"),
    ],
)
def test_errors_have_one_shape(server: Server, path: str, status: int, code: str) -> None:
    answer = server.get(path)
    assert (answer.status, answer.error) == (status, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/api/tasks", "/api/status", "/readyz", "/"])
def test_nothing_can_be_written(server: Server, method: str, path: str) -> None:
    answer = server.get(path, method=method)
    assert (answer.status, answer.error) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_head_is_get_without_a_body(server: Server) -> None:
    got, head = server.get("/api/tasks"), server.get("/api/tasks", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("path", ["/api/tasks", "/api/nothing", "/healthz"])
def test_answers_tell_browsers_to_trust_nothing(server: Server, path: str) -> None:
    headers = server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_a_page_of_another_site_whose_name_means_us_reads_nothing(server: Server, host: str) -> None:
    answer = server.get("/api/tasks", Host=host)
    assert (answer.status, answer.error) == (421, "wrong_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "x.localhost", "127.0.0.1:9", "[::1]:80", "[::1]"]
)
def test_a_server_on_loopback_goes_by_loopback_s_names(server: Server, host: str) -> None:
    assert server.get("/healthz", Host=host).status == 200


def patiently(server: Server, path: str, **headers: str) -> Any:
    """An answer that is not 429."""
    return wait_until(lambda: (found := server.get(path, **headers)).status != 429 and found)


def test_names_and_sites_can_be_allowed(strict: Server) -> None:
    assert patiently(strict, "/api/status", Host="index.example").status == 200
    origin = "https://app.example"
    told = patiently(strict, "/api/status", Origin=origin).headers
    assert told["access-control-allow-origin"] == origin
    assert "Origin" in told["vary"]
    other = patiently(strict, "/api/status", Origin="https://evil.example").headers
    assert "access-control-allow-origin" not in other


def test_who_asks_too_often_waits(strict: Server) -> None:
    answers = [strict.get("/healthz") for _ in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 4
    assert {answer.error for answer in refused} == {"too_many_requests"}
    assert int(refused[-1].headers["retry-after"]) >= 1
    patiently(strict, "/healthz")


def test_pages_and_urls_have_a_size(strict: Server) -> None:
    assert len(patiently(strict, "/api/events?limit=100").json["data"]) == 2
    answer = patiently(strict, "/api/search?q=" + "a" * 200)
    assert (answer.status, answer.error) == (414, "url_too_long")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: 99999", "413"),
        ("Content-Length: 1_0", "400"),
        ("Transfer-Encoding: chunked", "411"),
        ("X: " + "x" * 20_000, "431 400"),  # which, is by the pieces in which it comes
        ("\x00: 1", "400"),
    ],
)
def test_bodies_and_broken_requests_are_refused_and_the_connection_closed(
    server: Server, head: str, status: str
) -> None:
    with socket.create_connection(server.place, timeout=10) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert answer.split()[1].decode() in status.split()
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}


def test_search_leads_to_what_is_meant(server: Server) -> None:
    (task, *_) = server.get("/api/tasks").json["data"]
    hits = server.get(f"/api/search?q={task['address'].lower()}").json["data"]
    assert hits == [{"kind": "task", "id": task["address"]}]
    (hit,) = server.get(f"/api/search?q={task['published']['tx']}").json["data"]
    assert hit == {"kind": "transaction", "id": task["published"]["tx"]}


def test_an_account_is_told_with_all_that_it_is(server: Server, worked_network: RunningNetwork) -> None:
    provider = checksum(worked_network.address("provider"))
    life = server.get(f"/api/accounts/{provider}").json["data"]
    assert life["provider"]["master"] == checksum(worked_network.address("master"))
    assert int(life["provider"]["earned"]) > 0
    assert life["master"] is None


def test_health_and_figures(server: Server, worked_network: RunningNetwork) -> None:
    head = int(worked_network.rpc("eth_blockNumber"), 16)
    found = wait_until(lambda: (told := server.get("/readyz").json)["block"] >= head and told)
    assert found["ready"] is True
    assert found["behind"] == found["head"] - found["block"]
    text = server.get("/metrics").body.decode()
    assert 'ogpu_http_requests_total{method="GET",route="/api/tasks",status="200"}' in text
    assert 'route="/api/tasks/{task}"' in text
    for gauge in (
        "ogpu_index_block",
        "ogpu_chain_head",
        "ogpu_index_behind_blocks",
        "ogpu_indexer_starts 1.0",
    ):
        assert f"\n{gauge}" in text
    assert "11" * 20 not in text, "an address that somebody asked for became a label"
