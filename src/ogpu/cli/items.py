"""The items of `ogpu task map`: JSON lines, a list, or lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ogpu.cli.files import Document, read_document, read_text
from ogpu.cli.mistakes import Mistake, refused
from ogpu.safejson import parse_json

FORMATS = {".txt": "text", ".json": "list", ".yaml": "list", ".yml": "list"}


def read_items(path: Path, form: str | None, field: str) -> list[Any]:
    """The items of a file, each an object; a line of text becomes one with `field`."""
    form = form or FORMATS.get(path.suffix.lower(), "jsonl")
    name = "standard input" if str(path) == "-" else str(path)
    if form == "list":
        document: Document = read_document(path)
        if not isinstance(document.value, list):
            raise refused(name, [Mistake(1, 1, "", "a list of items is needed.")])
        return _objects(name, [(place, item) for place, item in enumerate(document.value, 1)], "item")
    lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    if form == "text":
        return [{field: line} for _, line in lines]
    return _objects(name, [(number, _parsed(name, number, line)) for number, line in lines], "line")


def _parsed(name: str, number: int, line: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        hint = " Lines of text need --format text." if line.lstrip()[:1] not in "{[" else ""
        raise refused(name, [Mistake(number, 1, "", f"is not JSON: {error}.{hint}")]) from error


def _objects(name: str, items: list[tuple[int, Any]], what: str) -> list[Any]:
    """The items, all of them objects."""
    wrong = [
        Mistake(place if what == "line" else 1, 1, "" if what == "line" else f"item {place}", "is no object.")
        for place, item in items
        if not isinstance(item, dict)
    ]
    if wrong:
        raise refused(name, wrong)
    return [item for _, item in items]
