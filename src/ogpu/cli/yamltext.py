"""YAML as values and as places: the core schema, so that 0x… is text and `no` is not False. Pure."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from ogpu.cli.mistakes import Mistake, refused
from ogpu.errors import InvalidInput
from ogpu.text import printable

TAG = "tag:yaml.org,2002:"
MOST_DIGITS = 1_000
DEEPEST = 100  # levels of nesting; the recursion limit is no bound, since libraries raise it
NUMBER = "-+0123456789."


class _Resolver(BaseResolver):
    """What plain scalars are: YAML 1.2's core schema, without octal and hexadecimal numbers."""


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list(NUMBER)),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list(NUMBER)),
):
    _Resolver.add_implicit_resolver(TAG + _tag, re.compile(f"(?:{_pattern})$"), _first)


class _Loader(Reader, Scanner, Parser, Composer, _Resolver):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """A node; the nesting is followed by recursion, and so has a bound."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            raise ComposerError(None, None, f"is nested deeper than {DEEPEST} levels", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", TAG + "str"):  # what it claims need not be what stands there
            problem = f"the tag {printable(str(tag), 60)} is not taken"
            raise ComposerError(None, None, problem, event.start_mark)
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def value_of(text: str, name: str) -> Any:
    """The value of YAML text; `InvalidInput` names the line of what is wrong."""
    try:
        return _Values(name).of(_composed(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = printable(error.problem or error.context or "is no YAML", 300)
        raise _wrong(name, mark, f"{problem}.") from error
    except yaml.YAMLError as error:  # a character that YAML has not
        raise InvalidInput(f"{name}: {printable(str(error), 300)}", facts={"file": name}) from error


def _composed(text: str) -> Node | None:
    node: Node | None = _Loader(text).get_single_node()
    return node


class _Values:
    """Values of nodes. References (`*name`) are refused: a few lines of them can stand for gigabytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: set[int] = set()

    def of(self, node: Node | None) -> Any:
        if node is None:
            return None
        if id(node) in self._seen:
            raise _wrong(self._name, node.start_mark, "is used again by a reference, which is not taken.")
        self._seen.add(id(node))
        match node:
            case MappingNode():
                return self._mapping(node)
            case SequenceNode():
                return [self.of(item) for item in node.value]
        return self._scalar(node)

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise _wrong(self._name, key.start_mark, "a name must be text.")
            if key.value in found:
                raise _wrong(self._name, key.start_mark, f"{printable(key.value, 60)} is there twice.")
            found[key.value] = self.of(value)
        return found

    def _scalar(self, node: Node) -> Any:
        text = str(node.value)
        match node.tag.removeprefix(TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= MOST_DIGITS:
                return int(text)
            case "int":
                raise _wrong(self._name, node.start_mark, f"has more than {MOST_DIGITS} digits.")
            case "float":
                return float(text)
        return text


class Places:
    """Where the parts of a document are in its text: lines and columns from 1."""

    def __init__(self, text: str) -> None:
        try:
            # In JSON tabs may separate, in YAML they may not; in its strings they cannot be.
            self._root = _composed(text.replace("\t", " ") if text.lstrip()[:1] in ("{", "[") else text)
        except yaml.YAMLError:  # JSON that is no YAML: then only the file is told
            self._root = None

    def of(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """The place of a value, or of the innermost there is on the way to it."""
        node = self._root
        for part in path:
            inner = _part(node, part)
            if inner is None:
                break
            node = inner[1]
        return _place(node)

    def of_key(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """The place of a field's name."""
        node = self._root
        for part in path[:-1]:
            inner = _part(node, part)
            node = inner[1] if inner else node
        found = _part(node, path[-1])
        return _place(found[0] if found else node)


def _part(node: Node | None, part: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _place(node: Node | None) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)


def _wrong(name: str, mark: Any, message: str) -> InvalidInput:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return refused(name, [Mistake(line, column, "", message)])
