"""Input from YAML and JSON files, with all mistakes told at once by file, line and field."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ogpu.cli.mistakes import Mistake, refused
from ogpu.cli.yamltext import DEEPEST, Places, value_of
from ogpu.errors import InvalidInput
from ogpu.text import printable

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 16 << 20
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
STDIN = Path("-")
Path_ = tuple[str | int, ...]  # where something is in a document: keys and places


class Document(NamedTuple):
    """What a file holds, and its text, in which the places of mistakes are looked up."""

    name: str
    text: str
    value: Any


def read_document(path: Path) -> Document:
    """The content of a YAML or JSON file, or of standard input for "-"."""
    name, text = "standard input" if path == STDIN else str(path), read_text(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
        _check_nesting(name, text)
        try:
            return Document(
                name, text, json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
            )
        except json.JSONDecodeError as error:
            if path.suffix.lower() == ".json":  # else it may be YAML that begins like JSON
                raise refused(name, [Mistake(error.lineno, error.colno, "", f"{error.msg}.")]) from error
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}.", facts={"file": name}) from error
    return Document(name, text, value_of(text, name))


def _check_nesting(name: str, text: str) -> None:
    """Refuse what is nested so deeply that following it would end the process."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > DEEPEST:
            line = text.count("\n", 0, found.start()) + 1
            raise refused(name, [Mistake(line, 1, "", f"is nested deeper than {DEEPEST} levels.")])


def read_text(path: Path) -> str:
    """The text of a file, or of standard input for "-"; at most `MOST_BYTES`, UTF-8."""
    if path == STDIN:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with path.expanduser().open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise InvalidInput(f"{path} has more than {MOST_BYTES:,} bytes.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: byte {error.start}.") from error


def checked(document: Document, model: type[M]) -> M:
    """A document as its model; all that is wrong is told at once."""
    from pydantic import ValidationError

    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise refused(document.name, list(_mistakes(document, error, model))) from None


def _mistakes(document: Document, error: ValidationError, model: type[BaseModel]) -> Iterator[Mistake]:
    places = Places(document.text)
    for each in error.errors(include_url=False):
        path: Path_ = each["loc"]
        field = ".".join(map(str, path))
        match each["type"]:
            case "missing":
                line, column = places.of(path[:-1])
                message = "is missing."
            case "extra_forbidden":
                line, column = places.of_key(path)
                message = "is not known." + _suggestion(str(path[-1]), _names(model, path[:-1]))
            case "model_type" | "dict_type":
                line, column = places.of(path)
                message = "must be fields with values."
            case "value_error":
                line, column = places.of(path)
                message = str(each["ctx"]["error"])
            case _:
                line, column = places.of(path)
                message = f"{each['msg'][0].lower()}{each['msg'][1:]}."
        yield Mistake(line, column, printable(field, 200), printable(message, 500))


def _names(model: type[BaseModel], path: Path_) -> list[str]:
    """The fields of the model at a place."""
    for part in path:
        inner = model.model_fields.get(str(part))
        found = getattr(inner, "annotation", None)
        if not isinstance(found, type) or not hasattr(found, "model_fields"):
            return []
        model = found
    return list(model.model_fields)


def _suggestion(name: str, known: Sequence[str]) -> str:
    plain = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).replace("-", "_")
    close = difflib.get_close_matches(plain, known, 1)
    listed = f" Known: {', '.join(known)}." if known else ""
    return f" Is {close[0]} meant?" if close else listed


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {printable(twice, 60)!r} is there twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
