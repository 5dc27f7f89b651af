"""JSON as content: what is written comes back the same, and what would not is refused by its place."""

from __future__ import annotations

import enum
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ogpu.content import from_json, to_json
from ogpu.errors import NotJSON


class Colour(enum.Enum):
    RED = "red"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=150, database=None)
def test_what_is_written_comes_back(value: Any) -> None:
    data = to_json(value)
    assert from_json(data) == value
    assert data == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_it_is_compact_utf8_and_wide_numbers_stay_whole() -> None:
    assert to_json({"ü": [1, 2.5, None, True, 2**200]}) == f'{{"ü":[1,2.5,null,true,{2**200}]}}'.encode()
    assert to_json((1, (2,))) == b"[1,[2]]"


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        ({"data": {"items": [0, 1, 2, {4}]}}, "data.items[3]", "set"),
        ({"data": float("nan")}, "data", "nan"),
        ([0, float("inf")], "[1]", "inf"),
        ([-float("inf")], "[0]", "-inf"),
        ({"a": {1: "x"}}, "a", "int"),
        ({"a": {None: "x"}}, "a", "NoneType"),
        ([{10**5000: "x"}], "[0]", "int"),
        ({"a b": {"c": b"bytes"}}, "['a b'].c", "bytes"),
        ({"a": [[], [datetime(2026, 1, 1)]]}, "a[1][0]", "datetime"),
        ({"a": Decimal("1.5")}, "a", "Decimal"),
        ({"a": Path("x")}, "a", "Path"),
        ({"a": Colour.RED}, "a", "Colour"),
        ({"a": iter("x")}, "a", "str_ascii_iterator"),
        (object(), "the value", "object"),
    ],
)
def test_what_is_not_json_is_refused_by_its_place_and_type(value: Any, path: str, kind: str) -> None:
    with pytest.raises(NotJSON) as caught:
        to_json(value)
    assert caught.value.facts["path"] == path
    assert f" {path} " in str(caught.value)
    assert kind in str(caught.value)


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    loop: dict[str, Any] = {"a": []}
    loop["a"].append(loop)
    with pytest.raises(NotJSON, match=r"a\[0\] contains itself"):
        to_json(loop)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(NotJSON, match="levels deep"):
        to_json(deep)
    shared = [1]
    assert to_json([shared, shared]) == b"[[1],[1]]"


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\udfff": 1}, 10**5000], ids=["value", "key", "digits"])
def test_what_only_fails_when_written_is_refused_too(value: Any) -> None:
    with pytest.raises(NotJSON):
        to_json(value)
