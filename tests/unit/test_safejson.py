"""Hostile JSON is refused, and does not end the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ogpu.safejson import parse_json

DEEP = """
import sys
from web3 import Web3  # what it loads raises the interpreter's recursion limit
from ogpu.content import from_json
from ogpu.errors import ContentInvalid
for opening in (b"[", b'{"a":'):
    try:
        from_json(opening * 300_000)
    except ContentInvalid:
        print("refused")
"""

LIMIT = """
import sys
before = sys.getrecursionlimit()
from ogpu.tx.keystore import eth_account
eth_account()
print(sys.getrecursionlimit() == before)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_deep_nesting_does_not_end_a_program_that_uses_web3() -> None:
    done = run(DEEP)
    assert (done.returncode, done.stdout.split()) == (0, ["refused", "refused"])


def test_opening_a_keystore_leaves_the_recursion_limit_as_it_was() -> None:
    assert run(LIMIT).stdout.strip() == "True"


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "[" * 1025 + "]" * 1025, "9" * 5000, b"\xff", "[1]]"]
)
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_whole_numbers_of_any_size() -> None:
    assert parse_json(f"[{2**200}, 1.5, -{2**70}]") == [2**200, 1.5, -(2**70)]
