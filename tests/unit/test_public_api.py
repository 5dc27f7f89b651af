"""The public names, and the functional API exactly as programs are written for it."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import ogpu
import ogpu.aio
import ogpu.client
import ogpu.service
import ogpu.sync
import ogpu.work.calls
from ogpu import errors
from ogpu.client import (
    ChainConfig,
    ChainId,
    ConfirmedResponse,
    DeliveryMethod,
    ImageEnvironments,
    Response,
    SourceInfo,
    TaskInfo,
    TaskInput,
)

NOTHING = inspect.Parameter.empty

SENDING = [
    ("private_key", None, "str | LocalAccount | Signer | None"),
    ("nonce", None, "int | None"),
    ("auto_fix_nonce", True, "bool"),
    ("max_retries", 3, "int"),
]
WHOSE = [("address", None, "str | None"), ("private_key", None, "str | LocalAccount | Signer | None")]

# module, function: parameters (name, default, annotation), and what is returned
FUNCTIONS: dict[tuple[str, str], tuple[list[tuple[str, Any, str]], str]] = {
    ("source", "publish_source"): ([("source_info", NOTHING, "SourceInfo"), *SENDING], "str"),
    ("task", "publish_task"): ([("task_info", NOTHING, "TaskInfo"), *SENDING], "str"),
    ("task", "publish_tasks"): (
        [
            ("task_infos", NOTHING, "Sequence[TaskInfo]"),
            ("private_key", None, "str | LocalAccount | Signer | None"),
        ],
        "list[Any]",
    ),
    ("responses", "get_task_responses"): (
        [("task_address", NOTHING, "str"), ("lower", 0, "int"), ("upper", None, "int | None")],
        "list[Response]",
    ),
    ("responses", "get_confirmed_response"): ([("task_address", NOTHING, "str")], "ConfirmedResponse"),
    ("responses", "confirm_response"): ([("response_address", NOTHING, "str"), *SENDING], "str"),
    ("nonce_utils", "fix_nonce"): (WHOSE, "int"),
    ("nonce_utils", "get_nonce_info"): (WHOSE, "dict[str, Any]"),
    ("nonce_utils", "reset_nonce_cache"): (WHOSE, "None"),
    ("nonce_utils", "clear_all_nonce_caches"): ([], "None"),
}

# class method: parameters (name, annotation), and what is returned
CHAIN_CONFIG = {
    "set_chain": ([("chain_id", "ChainId")], "None"),
    "get_current_chain": ([], "ChainId"),
    "get_contract_address": ([("contract_name", "str")], "str"),
    "get_all_supported_chains": ([], "list[ChainId]"),
}

CLASSES = {
    "chain_config": ["ChainConfig", "ChainId"],
    "types": [
        "ConfirmedResponse",
        "DeliveryMethod",
        "ImageEnvironments",
        "Progress",
        "Response",
        "SourceInfo",
        "TaskInfo",
        "TaskInput",
    ],
}

# dataclass: fields in order (name, annotation, default)
FIELDS: dict[type, list[tuple[str, str, Any]]] = {
    ImageEnvironments: [("cpu", "str", ""), ("nvidia", "str", ""), ("amd", "str", "")],
    SourceInfo: [
        ("name", "str", NOTHING),
        ("description", "str", NOTHING),
        ("logoUrl", "str", NOTHING),
        ("imageEnvs", "ImageEnvironments", NOTHING),
        ("minPayment", "int", NOTHING),
        ("minAvailableLockup", "int", NOTHING),
        ("maxExpiryDuration", "int", NOTHING),
        ("deliveryMethod", "DeliveryMethod", DeliveryMethod.MANUAL_CONFIRMATION),
    ],
    TaskInfo: [
        ("source", "str", NOTHING),
        ("config", "TaskInput", NOTHING),
        ("expiryTime", "int", NOTHING),
        ("payment", "int", NOTHING),
    ],
    Response: [
        ("address", "str", NOTHING),
        ("task", "str", NOTHING),
        ("provider", "str", NOTHING),
        ("data", "str", NOTHING),
        ("payment", "int", NOTHING),
        ("status", "int", NOTHING),
        ("timestamp", "int", NOTHING),
        ("confirmed", "bool", NOTHING),
    ],
    ConfirmedResponse: [("address", "str", NOTHING), ("data", "dict[str, Any]", NOTHING)],
}

BUILT_IN = {
    "ClientClosed": RuntimeError,
    "ConfigurationError": ValueError,
    "InvalidInput": ValueError,
    "UnsupportedCID": ValueError,
    "WaitTimeout": TimeoutError,
    "HandlerSignatureError": TypeError,
    "IdempotencyConflict": ValueError,
}


def same_name(annotation: object) -> str:
    """An annotation as text, whether it was written as text or not."""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


# --- names


@pytest.mark.parametrize("module", [ogpu, ogpu.client, ogpu.service], ids=lambda module: module.__name__)
def test_all_is_sorted_and_can_be_imported(module: Any) -> None:
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", [ogpu, ogpu.client, ogpu.service], ids=lambda module: module.__name__)
def test_nothing_public_is_missing_from_all(module: Any) -> None:
    seen = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and name not in ("TYPE_CHECKING", "annotations")
    }
    assert seen <= set(module.__all__)


def test_the_public_names() -> None:
    clients = {"AsyncClient", "Client", "NetworkExecutor"}
    assert set(ogpu.__all__) == clients | {"Network", "OGPUError", "Policy", "Retry", "__version__"}
    assert set(ogpu.service.__all__) == {"expose", "init", "logger", "start"}
    functions = {name for _, name in FUNCTIONS}
    assert set(ogpu.client.__all__) == functions | {name for names in CLASSES.values() for name in names}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = ogpu.NoSuchThing


@pytest.mark.parametrize(
    ("module", "name"),
    [*FUNCTIONS, *((module, name) for module, names in CLASSES.items() for name in names)],
)
def test_every_name_is_in_its_module_and_in_the_package(module: str, name: str) -> None:
    here = getattr(importlib.import_module(f"ogpu.client.{module}"), name)
    assert getattr(ogpu.client, name) is here


# --- signatures


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_signature(module: str, name: str) -> None:
    expected, returned = FUNCTIONS[module, name]
    signature = inspect.signature(getattr(importlib.import_module(f"ogpu.client.{module}"), name))
    parameters = list(signature.parameters.values())
    positional = parameters[: len(expected)]
    assert [(p.name, p.default, same_name(p.annotation)) for p in positional] == expected
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in positional)
    assert same_name(signature.return_annotation) == returned
    for extra in parameters[len(expected) :]:
        assert extra.kind is extra.KEYWORD_ONLY, f"{extra.name} is extra, so it must be keyword-only"
        assert extra.default is not NOTHING, f"{extra.name} is extra, so it needs a default"


@pytest.mark.parametrize("name", CHAIN_CONFIG)
def test_chain_config(name: str) -> None:
    expected, returned = CHAIN_CONFIG[name]
    assert isinstance(inspect.getattr_static(ChainConfig, name), classmethod)
    signature = inspect.signature(getattr(ChainConfig, name))
    assert [(p.name, same_name(p.annotation)) for p in signature.parameters.values()] == expected
    assert same_name(signature.return_annotation) == returned


ITEMS = ("source", "task", "response", "provider", "master")  # ask nothing, so they are no coroutines
STREAMS = ("events", "map")

FACES = {
    "Client": "AsyncClient",
    **{name: f"Async{name}" for name in ("Nexus", "Controller", "Terminal", "Vault")},
    **{name: f"Async{name}" for name in ("Source", "Task", "SubmittedResponse", "Provider", "Master")},
}


@pytest.mark.parametrize("face", FACES)
def test_the_faces_have_the_same_surface(face: str) -> None:
    def surface(kind: type) -> dict[str, str]:
        return {
            name: str(inspect.signature(value)).replace("Async", "")
            for base in reversed(kind.__mro__[:-1])
            for name, value in vars(base).items()
            if callable(value) and not name.startswith("_") and name not in ("open", "close")
        }

    cores = vars(ogpu.work.calls) | vars(ogpu.aio)
    plain, core = getattr(ogpu.sync, face), cores[FACES[face]]
    assert len(surface(plain)) > 4
    assert surface(plain) == surface(core)
    asked = set(surface(plain)) - set((*ITEMS, *STREAMS) if face == "Client" else ())
    assert all(inspect.iscoroutinefunction(getattr(core, name)) for name in asked)
    assert not any(inspect.iscoroutinefunction(getattr(plain, name)) for name in surface(plain))


def test_the_functions_and_the_client_take_the_same_parameters() -> None:
    for module, name in FUNCTIONS:
        function = inspect.signature(getattr(importlib.import_module(f"ogpu.client.{module}"), name))
        method = inspect.signature(getattr(ogpu.Client, name))
        assert list(method.parameters.values())[1:] == list(function.parameters.values()), name


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_a_misspelt_argument_is_refused(module: str, name: str) -> None:
    with pytest.raises(TypeError, match="privatekey"):
        getattr(ogpu.client, name)(privatekey="0x1")


# --- types


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_fields(kind: Any) -> None:
    found = [
        (field.name, field.type, NOTHING if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(kind)
    ]
    assert [(name, same_name(annotation), default) for name, annotation, default in found] == FIELDS[kind]
    assert list(inspect.signature(kind).parameters) == [name for name, _, _ in FIELDS[kind]]


def test_task_input() -> None:
    parameters = list(inspect.signature(TaskInput).parameters.values())
    assert [p.name for p in parameters[:2]] == ["function_name", "data"]
    assert all(p.default is NOTHING and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[:2])
    assert [p.kind for p in parameters[2:]] == [inspect.Parameter.VAR_KEYWORD]
    assert same_name(parameters[1].annotation) == "BaseModel | dict[str, Any]"
    assert TaskInput("f", {"a": 1}).to_dict() == {"function_name": "f", "data": {"a": 1}}
    extended = TaskInput("f", {"a": 1}, priority="high", tags=["x"])
    assert extended.to_dict() == {"function_name": "f", "data": {"a": 1}, "priority": "high", "tags": ["x"]}


def test_task_input_takes_a_model() -> None:
    from pydantic import BaseModel

    class Text(BaseModel):
        text: str
        language: str = "en"

    assert TaskInput("f", Text(text="hi")).to_dict() == {
        "function_name": "f",
        "data": {"text": "hi", "language": "en"},
    }


def test_values_as_dictionaries() -> None:
    response = Response("0xa", "0xb", "0xc", "data", 5, 0, 7, False)
    assert list(response.to_dict().items()) == [
        ("address", "0xa"),
        ("task", "0xb"),
        ("provider", "0xc"),
        ("data", "data"),
        ("payment", 5),
        ("status", 0),
        ("timestamp", 7),
        ("confirmed", False),
    ]
    assert ConfirmedResponse("0xa", {"data": "x"}).to_dict() == {"address": "0xa", "data": {"data": "x"}}


def test_what_the_chain_gave_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Response("0xa", "0xb", "0xc", "data", 5, 0, 7, False).payment = 6  # type: ignore[misc]


def test_enumerations() -> None:
    assert {member.name: member.value for member in DeliveryMethod} == {
        "MANUAL_CONFIRMATION": 0,
        "FIRST_RESPONSE": 1,
    }
    assert issubclass(ChainId, enum.Enum)
    assert {member.name: member.value for member in ChainId} == {
        "OGPU_MAINNET": 1071,
        "OGPU_TESTNET": 200820172034,
        "OGPU_LOCAL": 1337,
    }


def test_chains() -> None:
    """The default chain is the testnet; what is unknown is a ValueError and an OGPUError."""
    assert ChainConfig.get_current_chain() is ChainId.OGPU_TESTNET
    assert ChainConfig.get_all_supported_chains() == list(ChainId)
    ChainConfig.set_chain(ChainId.OGPU_MAINNET)
    assert ChainConfig.get_current_chain() is ChainId.OGPU_MAINNET
    assert ChainConfig.get_contract_address("NEXUS") == "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"
    for wrong in (1071, "mainnet", None):
        with pytest.raises(ValueError, match="ChainId") as caught:
            ChainConfig.set_chain(wrong)  # type: ignore[arg-type]
        assert isinstance(caught.value, errors.OGPUError)
    with pytest.raises(ValueError, match="NO_SUCH") as unknown:
        ChainConfig.get_contract_address("NO_SUCH")
    assert isinstance(unknown.value, errors.OGPUError)


# --- errors


def every_error() -> list[type[Exception]]:
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
    ]


def test_every_error_is_an_ogpu_error() -> None:
    assert len(every_error()) > 20
    assert all(issubclass(kind, errors.OGPUError) for kind in every_error())


@pytest.mark.parametrize("name", BUILT_IN)
def test_errors_that_are_built_in_ones_too(name: str) -> None:
    assert issubclass(getattr(errors, name), BUILT_IN[name])


def test_a_missing_key_names_the_variable_and_how_to_set_it() -> None:
    with pytest.raises(ValueError, match="CLIENT_PRIVATE_KEY") as caught:
        ogpu.client.get_nonce_info()
    assert isinstance(caught.value, errors.OGPUError)
    assert "export CLIENT_PRIVATE_KEY=" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["not-a-key-5ecret", "0x" + "5e" * 31, "0x" + "5e" * 33, "5e" * 16, "0x" + "0" * 64]
)
def test_a_malformed_key_is_never_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_PRIVATE_KEY", key)
    with pytest.raises(ValueError, match="CLIENT_PRIVATE_KEY") as caught:
        ogpu.client.get_nonce_info()
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert key not in shown
    assert key[2:20] not in shown.replace("0x and 64", "")


# --- importing


def alone(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, in that folder, with an empty HOME there."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def loaded_after(statement: str, folder: Path) -> set[str]:
    code = f"{statement}\nimport sys, json\nprint(json.dumps([n.partition('.')[0] for n in sys.modules]))"
    return set(json.loads(alone(code, folder).stdout))


@pytest.mark.parametrize(
    ("statement", "too_heavy"),
    [
        ("import ogpu", {"web3", "eth_account", "aiohttp", "pydantic", "rich", "typer", "asyncio"}),
        ("import ogpu.client", {"web3", "eth_account", "aiohttp", "pydantic", "rich", "typer"}),
        ("from ogpu import AsyncClient, Client", {"web3", "eth_account", "aiohttp", "pydantic"}),
        ("import ogpu.service", {"web3", "eth_account", "aiohttp"}),
        ("import ogpu.cli", {"web3", "eth_account", "aiohttp", "pydantic"}),
    ],
)
def test_importing_loads_nothing_heavy(statement: str, too_heavy: set[str], tmp_path: Path) -> None:
    assert not loaded_after(statement, tmp_path) & too_heavy


def test_web3_is_not_needed(tmp_path: Path) -> None:
    """It is for people's own code: nothing of the library imports it."""
    package = Path(ogpu.__file__).parent
    assert not [path for path in package.rglob("*.py") if "import web3" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("module", ["ogpu", "ogpu.client", "ogpu.service", "ogpu.cli", "ogpu.errors"])
def test_importing_has_no_effect(module: str, tmp_path: Path) -> None:
    """Nothing is printed, no folder is made, and no .env file or network file is read."""
    (tmp_path / ".env").write_text("OGPU_NETWORK_FILE=/nowhere\nCLIENT_PRIVATE_KEY=wrong\n")
    code = f"import os\nbefore = dict(os.environ)\nimport {module}\nassert dict(os.environ) == before"
    done = alone(code, tmp_path, PYTHONDONTWRITEBYTECODE="1", OGPU_NETWORK_FILE="/nowhere/either")
    assert (done.stdout, done.stderr) == ("", "")
    assert [path.name for path in tmp_path.rglob("*")] == [".env"]


def test_importing_opens_no_file_of_the_user(tmp_path: Path) -> None:
    """Seen by an audit hook: no .env file is opened anywhere, and nothing is written."""
    (tmp_path / ".env").write_text("CLIENT_PRIVATE_KEY=wrong\n")
    code = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(args) if event == 'open' else None)\n"
        "import ogpu.client\n"
        "names = [str(a[0]) for a in opened]\n"
        "assert not [n for n in names if n.endswith('.env')], names\n"
        "written = [a for a in opened if isinstance(a[1], str) and set(a[1]) & set('wax+')]\n"
        "assert not written, written\n"
    )
    alone(code, tmp_path, PYTHONDONTWRITEBYTECODE="1")


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert ogpu.__version__ == version("opengpu")


def test_the_package_is_typed() -> None:
    assert (Path(ogpu.__file__).parent / "py.typed").is_file()
    hints = typing.get_type_hints(Response)
    assert hints["payment"] is int
