"""Text that is not ours: one bounded, printable line, and never a private key or a URL's token."""

from __future__ import annotations

import base64
import enum
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogpu import Client
from ogpu.client import (
    ChainConfig,
    TaskInfo,
    TaskInput,
    confirm_response,
    fix_nonce,
    get_confirmed_response,
    get_nonce_info,
    get_task_responses,
    publish_task,
)
from ogpu.content.cid import parse_cid
from ogpu.content.jsontext import to_json
from ogpu.errors import InvalidInput, OGPUError
from ogpu.networks import TESTNET
from ogpu.protocol.checks import check_amount
from ogpu.text import printable, shown, without_url_parts

DIGITS = random.Random(7).randbytes(32).hex()  # a key that is nobody's
KEY = "0x" + DIGITS


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no repr")


class Wordy(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "text", [KEY, DIGITS, DIGITS.upper(), f"my key is {KEY}!", KEY[:20] + "O" + KEY[21:]]
)
def test_a_private_key_is_not_repeated(text: str) -> None:
    said = shown(text)
    assert "private key" in said
    assert text[10:18] not in said


@given(st.integers(0, 70), st.integers(1, 80))
def test_nor_its_beginning_at_the_end_of_what_is_quoted(before: int, limit: int) -> None:
    assert DIGITS[:8] not in shown("-" * before + DIGITS, limit)


@pytest.mark.parametrize("value", [bytes.fromhex(DIGITS), int(DIGITS, 16), [KEY], {KEY: KEY}, (KEY,)])
def test_nor_a_key_in_another_shape(value: object) -> None:
    said = shown(value)
    assert DIGITS[:8] not in said
    assert str(int(DIGITS, 16))[:8] not in said
    assert len(said) < 60


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0x12", "'0x12'"),
        ("a\nb\x1b", r"'a\nb\x1b'"),
        ("\ud800", r"'\ud800'"),
        (5, "5"),
        (Wordy.ONE, "1"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (None, "None"),
        (True, "True"),
        ([], "a value of type list"),
        (Unspeakable(), "a value of type Unspeakable"),
    ],
)
def test_what_is_shown(value: object, said: str) -> None:
    assert shown(value) == said


@given(st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.lists(st.text())))
def test_what_is_shown_is_a_bounded_line(value: object) -> None:
    said = shown(value)
    assert said.isprintable()
    assert len(said) < 60 * 10 + 20  # a character may be spelled out with ten


def test_lines_of_strangers() -> None:
    assert printable("a\nb\x1b[0m\tc\u2028\u202e") == r"a\nb\x1b[0m    c\u2028\u202e"
    assert printable("abcd", 3) == "abc … (cut)"


@pytest.mark.parametrize(
    "call",
    [
        lambda: fix_nonce(KEY, private_key=KEY),
        lambda: get_nonce_info(KEY),
        lambda: get_task_responses(KEY),
        lambda: get_confirmed_response(KEY),
        lambda: Client(KEY),
        lambda: ChainConfig.set_chain(KEY),  # type: ignore[arg-type]
        lambda: ChainConfig.get_contract_address(KEY),
        lambda: TESTNET.contract(KEY),
        lambda: check_amount(KEY, "amount"),
        lambda: to_json({"f" + DIGITS: {1}}),
        lambda: parse_cid(KEY),
        lambda: publish_task(TaskInfo(KEY, TaskInput("f", {}), 2**33, 1), private_key=KEY),
        lambda: publish_task(KEY),  # type: ignore[arg-type]
        lambda: confirm_response(KEY, private_key=KEY),
        lambda: check_amount(int(DIGITS + "00", 16), "amount"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(call: Callable[[], Any]) -> None:
    with pytest.raises(OGPUError) as caught:
        call()
    error: BaseException | None = caught.value
    while error is not None:
        assert DIGITS[:8] not in f"{error} {error!r} {getattr(error, 'facts', '')}"
        error = error.__cause__ or error.__context__


def test_an_amount_of_any_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a whole number of 16610 bits"):
        check_amount(10**5000, "payment")  # Python itself refuses to write over 4,300 digits


@pytest.mark.parametrize(
    ("url", "text", "said"),
    [
        ("https://h/v3/SECRET", "Cannot POST /v3/SECRET", "Cannot POST /v3/…"),
        ("https://h/v3/SECRET", "no project secret", "no project …"),
        ("https://us:pass%21@h", "bad user pass!", "bad user …"),
        ("https://h/?key=abcd&b=c", "key abcd is over", "key … is over"),
        ("https://h/token/token2", "token2", "…"),
        ("https://h/v3", "v3", "v3"),
        ("https://h/%zz/aaaa#bbbb", "aaaa bbbb", "… …"),
        ("http://[::1", "text", "text"),
    ],
)
def test_a_server_does_not_give_a_url_s_token_away(url: str, text: str, said: str) -> None:
    assert without_url_parts(text, url) == said


def test_a_server_that_repeats_the_credentials_as_http_sends_them_gives_nothing_away() -> None:
    said = "Basic " + base64.b64encode(b"me:top secret").decode()
    assert without_url_parts(said, "http://me:top%20secret@host/") == "Basic …=="
