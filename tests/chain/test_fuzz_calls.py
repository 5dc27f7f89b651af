"""Whatever is asked of a client with whatever arguments: it does it, or raises an error of the library."""

from __future__ import annotations

import os
import secrets
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fitting import NOT_FITTING, FuzzedCall
from tests.support.fuzz import calls
from tests.support.localnet import RunningNetwork
from tests.support.world import World, peopled

from ogpu.errors import ContractReverted, OGPUError
from ogpu.tx.state import Policy

SEED = os.environ.get("OGPU_SEED") or secrets.token_hex(4)
COUNT = 2000
LONGEST = 2000  # characters of an error's text


@pytest.fixture
def world(bare: RunningNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everybody and everything, and a client that does not wait long."""
    for role in ("client", "provider", "master", "agent"):
        monkeypatch.setenv(f"{role.upper()}_PRIVATE_KEY", bare.key(role))
    with peopled(bare, tmp_path / "journal.sqlite3", policy=Policy(receipt_timeout=2.0)) as made:
        yield made


def test_every_call_succeeds_or_raises_an_error_of_the_library(world: World, tmp_path: Path) -> None:
    print(f"OGPU_SEED={SEED}")
    outcomes: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    made: set[str] = set()
    done: set[str] = set()
    for number, call in enumerate(calls(world, SEED, COUNT, tmp_path)):
        made.add(call.name)
        try:
            call()
        except OGPUError as error:
            outcomes[type(error).__name__] += 1
            if found := "it should succeed" if call.fits else fault_of(error, world):
                wrong[f"{call.name}: {found}"] = f"call {number}: {described(call)}\n{error!r}"
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            wrong[f"{call.name}: {type(error).__name__}"] = f"call {number}: {described(call)}\n" + "".join(
                traceback.format_exception(error)[-6:]
            )
        else:
            outcomes["done"] += 1
            done.add(call.name)
    print(outcomes)
    assert not wrong, "\n\n".join(f"{name}\n{text}" for name, text in wrong.items())
    assert made - done == NOT_FITTING.keys()
    assert {"Client.run", "Client.map", "Client.submit"} <= done
    assert outcomes["done"] > COUNT / 4
    assert len(outcomes) > 20


def fault_of(error: OGPUError, world: World) -> str:
    """What is wrong with an error: it cannot be shown, it explains nothing, or it shows a key."""
    text = str(error)
    if not text.isprintable() or len(text) > LONGEST or not error.message:
        return f"its text: {text[:200]!r}"
    if type(error) is ContractReverted and "block" in error.facts:
        return "a transaction was refused for a reason that nobody knows"
    whole = "".join(traceback.format_exception(error)) + repr(error.facts) + repr(error)
    return "it shows a key" if any(key[2:] in whole.lower() for key in world.keys.values()) else ""


def described(call: FuzzedCall) -> str:
    shown = []
    for name, value in call.arguments.items():
        try:
            shown.append(f"{name}={repr(value)[:100]}")
        except ValueError:  # an object that resists
            shown.append(f"{name}=({type(value).__name__})")
    return f"{call.name}({', '.join(shown)})"
