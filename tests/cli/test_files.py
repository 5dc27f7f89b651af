"""Input from files: what is wrong is told all at once, by file, line, column and field."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ogpu.cli.terms import map_file, source_info, task_file
from ogpu.errors import InvalidInput
from tests.cli.here import Here

ADDRESS = "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1"
SOURCE = """\
# A service
name: My service
images:
  cpu: https://example.org/c.yml
min_payment: 0.001ogpu
max_expiry_duration: 1h30m
"""
TASK = f"""\
source: {ADDRESS}
function: echo
data:
  text: no
  number: 012
  big: 123456789012345678901234567890
payment: 0.01ogpu
expires_in: 15m
"""


def file(folder: Path, text: str | bytes, name: str = "job.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistakes(caught: pytest.ExceptionInfo[InvalidInput]) -> list[tuple[int, int, str]]:
    return [(each["line"], each["column"], each["field"]) for each in caught.value.facts["mistakes"]]


def test_a_source_from_a_file_with_options_over_it(tmp_path: Path) -> None:
    info = source_info(file(tmp_path, SOURCE), {"name": "Other", "images": {"nvidia": "https://n"}})
    assert (info.name, info.minPayment, info.maxExpiryDuration) == ("Other", 10**15, 5400)
    assert (info.imageEnvs.cpu, info.imageEnvs.nvidia) == ("https://example.org/c.yml", "https://n")


def test_yaml_is_read_without_its_surprises(tmp_path: Path) -> None:
    """0x… stays an address, `no` a word, and a number keeps all its digits."""
    terms = task_file(file(tmp_path, TASK), {})
    assert terms.source == ADDRESS
    assert terms.data == {"text": "no", "number": 12, "big": 123456789012345678901234567890}
    assert (terms.payment, terms.expires_in) == (10**16, 900)


@pytest.mark.parametrize("name", ["job.json", "job.yaml", "job"])
def test_json_is_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    value = {
        "source": ADDRESS,
        "function": "echo",
        "data": {"a": "\U0001f600\\/", "b": [1.5, None]},
        "payment": 5,
    }
    terms = task_file(file(tmp_path, json.dumps(value, indent="\t"), name), {})
    assert (terms.data, terms.payment, terms.expires_in) == (value["data"], 5, None)


def test_all_mistakes_are_told_with_their_places(tmp_path: Path) -> None:
    text = TASK.replace("payment: 0.01ogpu", "payment: 0.01").replace("function", "functoin") + "paymnet: 1\n"
    with pytest.raises(InvalidInput) as caught:
        task_file(file(tmp_path, text), {})
    assert mistakes(caught) == [(1, 1, "function"), (2, 1, "functoin"), (7, 10, "payment"), (9, 1, "paymnet")]
    said = caught.value.message
    assert said.startswith(f"{tmp_path / 'job.yaml'}: 4 mistakes.\n")
    assert f"{tmp_path / 'job.yaml'}, line 2, column 1: functoin: is not known. Is function meant?" in said
    assert "line 7, column 10: payment: '0.01' has no unit. Write 0.01ogpu" in said


def test_mistakes_in_json_have_places_too(tmp_path: Path) -> None:
    text = '{\n\t"name": "x",\n\t"images": {"cpu": 5, "gpu": "y"},\n\t"minPayment": "1ogpu"\n}'
    with pytest.raises(InvalidInput) as caught:
        source_info(file(tmp_path, text, "s.json"), {})
    found = mistakes(caught)
    assert (3, 20, "images.cpu") in found
    assert (3, 23, "images.gpu") in found
    assert (4, 2, "minPayment") in found
    assert "Is min_payment meant?" in caught.value.message


@pytest.mark.parametrize(
    ("text", "name", "place", "words"),
    [
        ("a: 1\nb: [1,\n", "j.yaml", (3, 1), "expected"),
        ("a: 1\na: 2\n", "j.yaml", (2, 1), "a is there twice"),
        ("a: &x [1]\nb: *x\n", "j.yaml", (1, 4), "used again by a reference"),
        ("a: !!python/name:os.system x\n", "j.yaml", (1, 4), "tag"),
        ("a: !!int foo\n", "j.yaml", (1, 4), "int is not taken"),
        ('a: !!int ""\n', "j.yaml", (1, 4), "int is not taken"),
        ("a: 1\nb: !!float foo\n", "j.yaml", (2, 4), "float is not taken"),
        ("a: !!bool maybe\n", "j.yaml", (1, 4), "bool is not taken"),
        ("a: !!set {x, y}\n", "j.yaml", (1, 4), "set is not taken"),
        ("a: !!binary aGk=\n", "j.yaml", (1, 4), "binary is not taken"),
        ("!!omap\n- a: 1\n", "j.yaml", (1, 1), "omap is not taken"),
        ("? [1]\n: 2\n", "j.yaml", (1, 3), "must be text"),
        ("a: " + "9" * 5000, "j.yaml", (1, 4), "digits"),
        ('{"a": 1,\n "b": }', "j.json", (2, 7), "Expecting value"),
        ("- 1\n- 2\n", "j.yaml", (1, 1), "must be fields with values"),
        ("# nothing\n", "j.yaml", (1, 1), "must be fields with values"),
    ],
)
def test_a_broken_file_is_told_by_line(
    tmp_path: Path, text: str, name: str, place: tuple[int, int], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        task_file(file(tmp_path, text, name), {})
    assert mistakes(caught)[0][:2] == place


def test_what_is_said_to_be_text_is_text(tmp_path: Path) -> None:
    terms = f"source: !!str {ADDRESS}\nfunction: ! echo\ndata: {{n: !!str 5}}\npayment: 5\n"
    assert task_file(file(tmp_path, terms, "j.yaml"), {}).data == {"n": "5"}


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"a: \x00",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 200_000,
        b"a: " + b"[" * 5_000,
        b'{"a":' * 100_000,
        b"- " * 20_000,
        b"x" * (16 * 1024 * 1024 + 1),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_document_ends_with_an_error(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        task_file(file(tmp_path, text), {})
    assert len(caught.value.message) < 2_000


def test_what_a_file_holds_commands_no_terminal(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        task_file(file(tmp_path, '"\\e[31m": 1\npayment: "\\e]0;x\\a"\n'), {})
    assert all(c.isprintable() or c == "\n" for c in caught.value.message)


def test_options_alone_are_checked_all_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        source_info(None, {"min_payment": "0.1", "max_expiry_duration": "soon"})
    said = str(caught.value)
    assert "Missing: --name, --cpu, --nvidia or --amd." in said
    assert "--min-payment: '0.1' has no unit. Write 0.1ogpu" in said
    assert "--max-duration: 'soon' is not a duration." in said


@pytest.mark.parametrize(
    ("name", "text", "items"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.json", '[{"a": 1}]', [{"a": 1}]),
        ("a.yaml", "- a: 1\n- b: x\n", [{"a": 1}, {"b": "x"}]),
        ("a.txt", "one\n  two \n\n", [{"text": "one"}, {"text": "  two "}]),
    ],
)
def test_items_in_each_form(tmp_path: Path, name: str, text: str, items: list[Any]) -> None:
    from ogpu.cli.items import read_items

    found = read_items(file(tmp_path, text, name), None, "text")
    assert found == items
    assert map_file(None, {"source": ADDRESS, "function": "f", "items": found, "payment": "1"}).items == items


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [("a.jsonl", '{"a": 1}\nhello\n', 2), ("a.jsonl", "{}\n\n[]\n", 3), ("a.yaml", "a: 1\n", 1)],
)
def test_items_that_are_none_are_told_by_line(tmp_path: Path, name: str, text: str, place: int) -> None:
    from ogpu.cli.items import read_items

    with pytest.raises(InvalidInput) as caught:
        read_items(file(tmp_path, text, name), None, "text")
    assert mistakes(caught)[0][0] == place


def test_standard_input_is_a_file_too(here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"payment: 0.01\nsource: x\n")))
    error = here.refused(2, "task", "publish", "--file", "-", "--yes")
    assert error["facts"]["file"] == "standard input"
    assert [each["line"] for each in error["facts"]["mistakes"]] == [1, 1, 1, 2]
    (tmp_path / "job.yaml").write_text("payment: 0.01\n")
    said = here("task", "publish", "--file", "job.yaml", "--yes")
    assert said.code == 2
    assert "job.yaml, line 1, column 10: payment: '0.01' has no unit." in said.err
    assert (
        here("task", "publish", "--file", "none.yaml").err == "Error: none.yaml: No such file or directory.\n"
    )
