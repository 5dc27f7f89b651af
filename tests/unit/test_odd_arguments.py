"""Whatever a caller gives, what comes out is one of the library's errors, and mostly before any request."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.odd import ADDRESS, KEY, ODD, Model

from ogpu import AsyncClient, Client
from ogpu.client import (
    ChainConfig,
    ImageEnvironments,
    SourceInfo,
    TaskInfo,
    TaskInput,
    clear_all_nonce_caches,
    confirm_response,
    default,
    fix_nonce,
    get_confirmed_response,
    get_nonce_info,
    get_task_responses,
    publish_source,
    publish_task,
    reset_nonce_cache,
)
from ogpu.errors import ClientClosed, InvalidInput, OGPUError, UnknownContract
from ogpu.networks import Network, redact
from ogpu.rpc import transport
from ogpu.types import Response

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


def source(**changes: Any) -> SourceInfo:
    good: dict[str, Any] = {
        "name": "n",
        "description": "d",
        "logoUrl": "l",
        "imageEnvs": ImageEnvironments(cpu="http://a/b"),
        "minPayment": 1,
        "minAvailableLockup": 0,
        "maxExpiryDuration": 60,
    }
    return SourceInfo(**(good | changes))


def task(**changes: Any) -> TaskInfo:
    good: dict[str, Any] = {
        "source": ADDRESS,
        "config": TaskInput("f", {}),
        "expiryTime": 2**33,
        "payment": 1,
    }
    return TaskInfo(**(good | changes))


def used(call: Callable[[Client], Any]) -> None:
    """A call of the default client, whose further methods the functional API does not have."""
    call(default.client())


CALLS: dict[str, Callable[[Any], Any]] = {
    "publish_source": publish_source,
    "source, key": lambda odd: publish_source(source(), odd),
    "source, nonce": lambda odd: publish_source(source(), nonce=odd),
    "source, retries": lambda odd: publish_source(source(), max_retries=odd),
    "source, auto_fix": lambda odd: publish_source(source(), auto_fix_nonce=odd),
    **{
        f"source, {name}": lambda odd, name=name: publish_source(source(**{name: odd}))  # type: ignore[misc]
        for name in SourceInfo.__dataclass_fields__
    },
    "source, cpu": lambda odd: publish_source(source(imageEnvs=ImageEnvironments(odd))),
    "publish_task": publish_task,
    "task, key": lambda odd: publish_task(task(), odd),
    "task, nonce": lambda odd: publish_task(task(), nonce=odd),
    "task, retries": lambda odd: publish_task(task(), max_retries=odd),
    **{
        f"task, {name}": lambda odd, name=name: publish_task(task(**{name: odd}))  # type: ignore[misc]
        for name in TaskInfo.__dataclass_fields__
    },
    "task, function": lambda odd: publish_task(task(config=TaskInput(odd, {}))),
    "task, data": lambda odd: publish_task(task(config=TaskInput("f", odd))),
    "task, inside data": lambda odd: publish_task(task(config=TaskInput("f", {"a": [odd]}))),
    "task, extra": lambda odd: publish_task(task(config=TaskInput("f", {}, more=odd))),
    "confirm_response": confirm_response,
    "confirm, key": lambda odd: confirm_response(ADDRESS, odd),
    "confirm, nonce": lambda odd: confirm_response(ADDRESS, nonce=odd),
    "confirm, retries": lambda odd: confirm_response(ADDRESS, max_retries=odd),
    "get_task_responses": get_task_responses,
    "responses, lower": lambda odd: get_task_responses(ADDRESS, odd),
    "responses, upper": lambda odd: get_task_responses(ADDRESS, 0, odd),
    "get_confirmed_response": get_confirmed_response,
    "fix_nonce": fix_nonce,
    "fix_nonce, key": lambda odd: fix_nonce(None, odd),
    "get_nonce_info": get_nonce_info,
    "nonce info, key": lambda odd: get_nonce_info(None, odd),
    "reset_nonce_cache": reset_nonce_cache,
    "reset, key": lambda odd: reset_nonce_cache(None, odd),
    "clear_all_nonce_caches": lambda _: clear_all_nonce_caches(),
    "set_chain": ChainConfig.set_chain,
    "Client": lambda odd: Client(odd).close(),
    "AsyncClient, timeout": lambda odd: AsyncClient(timeout=odd),
    "vault.account": lambda odd: used(lambda client: client.vault.account(odd)),
    "vault.deposit": lambda odd: used(lambda client: client.vault.deposit(odd)),
    "deposit, account": lambda odd: used(lambda client: client.vault.deposit(1, odd)),
    "deposit, key": lambda odd: used(lambda client: client.vault.deposit(1, private_key=odd)),
    "vault.withdraw": lambda odd: used(lambda client: client.vault.withdraw(odd)),
    "vault.lock": lambda odd: used(lambda client: client.vault.lock(odd)),
    "vault.unbond": lambda odd: used(lambda client: client.vault.unbond(odd)),
    "cancel_task": lambda odd: used(lambda client: client.cancel_task(odd)),
    "get_source": lambda odd: used(lambda client: client.get_source(odd)),
    "get_task": lambda odd: used(lambda client: client.get_task(odd)),
    "get_response": lambda odd: used(lambda client: client.get_response(odd)),
    "wait_for_response": lambda odd: used(lambda client: client.wait_for_response(odd)),
    "wait, timeout": lambda odd: used(lambda client: client.wait_for_response(ADDRESS, odd)),
    "Client, timeout": lambda odd: Client(timeout=odd).close(),
    "fetch_result": lambda odd: used(lambda client: client.fetch_result(odd)),
    "publish_tasks": lambda odd: used(lambda client: client.publish_tasks(odd)),
    "intents, limit": lambda odd: used(lambda client: client.intents(odd)),
    "intents, states": lambda odd: used(lambda client: client.intents(states=odd)),
    "intent": lambda odd: used(lambda client: client.intent(odd)),
    "cancel": lambda odd: used(lambda client: client.cancel(odd)),
    "role": lambda odd: used(lambda client: client.vault.lock(1, role=odd)),
    "put_bytes, type": lambda odd: used(lambda client: client.content.put_bytes(b"x", content_type=odd)),
    "get_contract_address": ChainConfig.get_contract_address,
}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default network of which nothing answers."""
    document = {
        "name": "local",
        "chain_id": 1337,
        "rpc_urls": [NOWHERE],
        "contracts": dict.fromkeys(("NEXUS", "CONTROLLER", "TERMINAL", "VAULT"), ADDRESS),
        "content": {"upload_url": NOWHERE, "gateway_url": NOWHERE},
        "management_url": NOWHERE,
    }
    file = tmp_path / "network.json"
    file.write_text(json.dumps(document))
    monkeypatch.setenv("OGPU_NETWORK_FILE", str(file))
    monkeypatch.setenv("CLIENT_PRIVATE_KEY", KEY)
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.0)


@pytest.mark.parametrize("call", CALLS)
def test_any_argument_is_taken_or_refused_by_an_error_of_the_library(nowhere: None, call: str) -> None:
    for name, odd in ODD.items():
        try:
            CALLS[call](odd)
        except ClientClosed:
            raise  # nothing would have been tested
        except OGPUError as error:
            text = str(error)
            assert text.isprintable(), f"{call} with {name}: {text!r}"
            assert len(text) < 1000, f"{call} with {name}: {text}"
            assert KEY[2:20] not in text
        except BaseException as error:
            raise AssertionError(f"{call} with {name}: {type(error).__name__}") from error


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: publish_source(None), "source_info"),  # type: ignore[arg-type]
        (lambda: publish_source(source(imageEnvs="http://a/b")), "imageEnvs"),
        (lambda: publish_source(source(name=5)), "name"),
        (lambda: publish_source(source(logoUrl=None)), "logoUrl"),
        (lambda: publish_source(source(imageEnvs=ImageEnvironments(amd=5))), "imageEnvs.amd"),  # type: ignore[arg-type]
        (lambda: publish_source(source(deliveryMethod=2)), "deliveryMethod"),
        (lambda: publish_source(source(deliveryMethod=True)), "deliveryMethod"),
        (lambda: publish_source(source(), nonce=True), "nonce"),
        (lambda: publish_source(source(), nonce=2**64 - 1), "nonce"),
        (lambda: publish_source(source(), max_retries=0), "max_retries"),
        (lambda: publish_task(source()), "task_info"),  # type: ignore[arg-type]
        (lambda: publish_task(task(config={"function_name": "f", "data": {}})), "config"),
        (lambda: publish_task(task(config=TaskInput("", {}))), "function_name"),
        (lambda: publish_task(task(config=TaskInput("f", Model))), "data"),  # type: ignore[arg-type]
        (lambda: publish_task(task(), nonce=-1), "nonce"),
        (lambda: publish_task(task(), max_retries="3"), "max_retries"),  # type: ignore[arg-type]
        (lambda: confirm_response(ADDRESS, nonce=1.0), "nonce"),  # type: ignore[arg-type]
    ],
)
def test_the_argument_is_named_and_no_key_is_needed_to_tell(call: Callable[[], Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field}\b") as caught:
        call()
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize("bounds", [(-1, None), (2, 1), (0, -1), (0, 10**5000 * -1), (None, None), (0, True)])
def test_ranges_that_cannot_be(bounds: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidInput, match="lower"):
        get_task_responses(ADDRESS, *bounds)


@pytest.mark.parametrize("timeout", [0, -1, 0.0, math.nan, math.inf, -math.inf, None, True, "5", [], 10**400])
def test_a_timeout_is_a_finite_number_above_0(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        AsyncClient("testnet", timeout=timeout)


@pytest.mark.parametrize("response", [None, "https://h/ipfs/x", {"data": "x"}, ADDRESS])
def test_a_result_is_fetched_for_a_response_only(response: Any) -> None:
    async def main() -> None:
        async with AsyncClient("testnet") as client:
            with pytest.raises(InvalidInput, match="Response"):
                await client.fetch_result(response)
            with pytest.raises(InvalidInput, match=r"response\.data"):
                await client.fetch_result(Response("", "", "", 5, 0, 0, 0, True))  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize("name", [[], None, {}, 5, "VAULTS"])
def test_a_contract_that_no_network_has(name: Any) -> None:
    with pytest.raises(UnknownContract, match="NEXUS"):
        ChainConfig.get_contract_address(name)


def test_a_url_that_cannot_be_read() -> None:
    broken = "http://[::1"
    assert redact(broken) == "(a malformed URL)"
    network = Network("odd", 1, (broken,), {"VAULT": ADDRESS}, NOWHERE, NOWHERE, broken)

    async def main() -> None:
        async with AsyncClient(network) as client:
            with pytest.raises(OGPUError, match="malformed"):
                await client.vault.account(ADDRESS)
            with pytest.raises(OGPUError, match="malformed"):
                await client.get_confirmed_response(ADDRESS)

    asyncio.run(main())


def test_nobody_listens_where_these_tests_look() -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 9)) != 0
