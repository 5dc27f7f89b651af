# mypy: disable-error-code="empty-body"
"""What `ogpu.service` takes and refuses, and a service over HTTP as its author starts it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import ogpu.service
from ogpu.errors import ConfigurationError, HandlerSignatureError
from ogpu.service.config import handler_environment, read_settings
from ogpu.service.decorators import expose, init, read_handler
from ogpu.service.logs import ServiceLogger


class In(BaseModel):
    x: int = 0


class Out(BaseModel):
    y: int = 0


def test_the_public_names() -> None:
    assert ogpu.service.__all__ == ["expose", "init", "logger", "start"]


# --- signatures ------------------------------------------------------------------------------------------


def good(data: In) -> Out: ...
def positional(data: In, /) -> Out: ...
def annotated(data: Annotated[In, "the input"]) -> Out: ...
def base(data: BaseModel) -> BaseModel: ...
async def asynchronous(data: In) -> Out: ...


@pytest.mark.parametrize("function", [good, positional, annotated, base, asynchronous])
def test_handlers_that_are_taken(function: Callable[..., Any]) -> None:
    handler = read_handler(function, None)
    assert handler.name == function.__name__
    assert issubclass(handler.input, BaseModel)
    assert issubclass(handler.output, BaseModel)
    assert handler.place.startswith(f"{__file__}:")


def none() -> Out: ...
def two(a: In, b: In) -> Out: ...
def two_of_them_optional(a: In, b: int = 1) -> Out: ...
def star(*data: In) -> Out: ...
def keyword(*, data: In) -> Out: ...
def bare(data) -> Out: ...  # type: ignore[no-untyped-def]
def no_return(data: In): ...  # type: ignore[no-untyped-def]
def plain_input(data: dict[str, Any]) -> Out: ...
def plain_output(data: In) -> dict[str, Any]: ...
def returns_none(data: In) -> None: ...
def optional(data: In | None) -> Out: ...
def unknown(data: NotDefined) -> Out: ...  # type: ignore[name-defined] # noqa: F821


def generator(data: In) -> Out:  # type: ignore[misc]
    yield Out()


async def async_generator(data: In) -> Out:  # type: ignore[misc]
    yield Out()


class Callee:
    def __call__(self, data: In) -> Out: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (none, "takes one parameter, the input model; this one takes 0"),
        (two, "this one takes 2"),
        (two_of_them_optional, "this one takes 2"),
        (star, "is given by position"),
        (keyword, "is given by position"),
        (bare, "the parameter 'data' has no annotation"),
        (no_return, "the return type has no annotation"),
        (plain_input, "the parameter 'data' is dict"),
        (plain_output, "the return type is dict"),
        (returns_none, "the return type is NoneType"),
        (optional, "not a subclass of pydantic.BaseModel"),
        (unknown, "name 'NotDefined' is not defined"),
        (generator, "generator"),
        (async_generator, "generator"),
        (Callee(), "a handler is a function"),
        (In, "a handler is a function"),
    ],
)
def test_handlers_that_are_refused_with_name_place_and_reason(function: Any, reason: str) -> None:
    with pytest.raises(HandlerSignatureError) as caught:
        read_handler(function, None)
    assert isinstance(caught.value, TypeError)
    assert reason in str(caught.value)
    assert getattr(function, "__name__", "Callee") in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "30"])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(HandlerSignatureError, match=r"'good'.*timeout is a positive number"):
        read_handler(good, timeout)


def test_timeouts_that_are_taken() -> None:
    assert [read_handler(good, timeout).timeout for timeout in (None, 30, 0.5)] == [None, 30.0, 0.5]


def test_expose_without_parentheses_is_refused() -> None:
    with pytest.raises(HandlerSignatureError, match=r"'good'.*with parentheses"):
        expose(good)  # type: ignore[arg-type]


def test_an_initialisation_with_parameters_is_refused() -> None:
    with pytest.raises(HandlerSignatureError, match=r"'good'.*takes no parameters"):
        init()(good)


# --- environment and text --------------------------------------------------------------------------------


def test_settings_have_defaults_and_come_from_the_environment() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port, settings.callback_url) == ("0.0.0.0", 5555, None)
    settings = read_settings(
        {"OGPU_SERVICE_HOST": "::1", "OGPU_SERVICE_PORT": "0", "CALLBACK_URL": "http://a/b/"}
    )
    assert (settings.host, settings.port, settings.callback_url) == ("::1", 0, "http://a/b")
    assert (settings.listening("h", 1).host, settings.listening(None, 1).host) == ("h", "::1")


@pytest.mark.parametrize("port", ["-1", "65536", "http", "5 5", "٣"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ConfigurationError, match="OGPU_SERVICE_PORT"):
        read_settings({"OGPU_SERVICE_PORT": port})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIENT_PRIVATE_KEY", "x"),
        ("my_private_key", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("OPENAI_API_KEY", "x"),
        ("DB_PASSWORD", "x"),
        ("GITHUB_TOKEN", "x"),
        ("WALLET_MNEMONIC", "x"),
        ("OGPU_NETWORK_FILE", "x"),
        ("MAINNET_RPC_URL", "https://x/y"),
        ("ANYTHING", "ab" * 32),
        ("ANYTHING", "0x" + "AB" * 32),
        ("ANYTHING", "postgres://user:pw@host/db"),
        ("HF_HOME", "0x" + "ab" * 32),
    ],
)
def test_secrets_are_kept_from_handlers(name: str, value: str) -> None:
    assert handler_environment({name: value}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LANG",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "HF_TOKEN",
        "HF_HOME",
        "CUDA_VISIBLE_DEVICES",
        "TOKENIZERS_PARALLELISM",
        "LD_LIBRARY_PATH",
        "MONKEYS",
        "SOURCE_ADDRESS",
        "AUTHOR",
    ],
)
def test_everything_else_reaches_them(name: str) -> None:
    assert handler_environment({name: "http://a/b"}) == {name: "http://a/b"}


def test_the_logger_has_a_level_for_each_end_of_a_task(caplog: pytest.LogCaptureFixture) -> None:
    logger = ServiceLogger(logging.getLogger("ogpu.service.test"), {})
    with caplog.at_level(logging.INFO, "ogpu.service.test"):
        logger.info("a %s", 1)
        logger.task_success("b")
        logger.task_timeout("c")
        logger.task_fail("d")
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("INFO", "a 1"),
        ("SUCCESS", "b"),
        ("TIMEOUT", "c"),
        ("FAIL", "d"),
    ]
    assert {record.filename for record in caplog.records} == {"test_service.py"}
