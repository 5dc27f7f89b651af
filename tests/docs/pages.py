"""The code blocks of a page: which run, what they must print, and why others do not run."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

RUN = {"python", "sh", "console"}  # what a reader would run
SHOWN = {"", "text", "json", "yaml", "toml", "solidity"}  # what a reader would look at, or put into a file
FENCE = re.compile(r"^( *)(```+)(\w*) *(.*)$")
MARK = re.compile(r"<!-- not run: (.+?) -->")
TITLE = re.compile(r'title="([^"]+)"')
TAB = re.compile(r'=== "([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: its text without indentation, and the line of the page where it begins."""

    language: str
    text: str
    line: int
    title: str = ""  # the file that it is to be, in the reader's folder
    not_run: str = ""  # why it does not run
    output: str | None = None  # what it must print, where the next block says so
    tab: str = ""  # the tab that it is in: one way of several to do something

    @property
    def runs(self) -> bool:
        """Whether it is to be run."""
        return self.language in RUN and not self.title and not self.not_run


def blocks_of(page: Path) -> list[Block]:
    """All code blocks of a page. A `text` block right after a program or a command is its output."""
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    above, at, near = "", 0, False  # the last line with text before a block; whether none stands between
    tab = ""
    while at < len(lines):
        match = FENCE.match(lines[at])
        if heading := TAB.fullmatch(lines[at]):
            tab = heading[1]
        elif lines[at].strip() and not lines[at].startswith("    "):
            tab = ""
        if not match:
            if lines[at].strip():
                above, near = lines[at].strip(), False
            at += 1
            continue
        indent, fence, language, attributes = match.groups()
        end = next(n for n in range(at + 1, len(lines)) if lines[n] == indent + fence)
        text = textwrap.dedent("\n".join(line or indent for line in lines[at + 1 : end]))
        title, mark = TITLE.search(attributes), MARK.fullmatch(above)
        block = Block(language, text, at + 1, title[1] if title else "", mark[1] if mark else "", tab=tab)
        if near and language == "text" and blocks[-1].runs and blocks[-1].language != "console":
            last = blocks.pop()
            block = replace(last, output=text)
        blocks.append(block)
        above, near, at = "", True, end + 1
    return blocks


@dataclass(frozen=True)
class Command:
    """One command of a console block, with the output that is shown for it."""

    text: str
    output: str


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block: lines after `$`, continued by `>` or a backslash."""
    commands: list[Command] = []
    typed: list[str] = []
    shown: list[str] = []

    def finish() -> None:
        if typed:
            commands.append(Command("\n".join(typed), "\n".join(shown)))
            typed.clear()
            shown.clear()

    for line in block.text.splitlines():
        if line.startswith("$ "):
            finish()
            typed.append(line[2:])
        elif typed and not shown and (line.startswith("> ") or typed[-1].endswith("\\")):
            typed.append(line.removeprefix("> "))
        else:
            assert typed, f"line {block.line}: a console block begins with a command"
            shown.append(line)
    finish()
    return commands


def matches(shown: str, printed: str) -> bool:
    """Whether an output is the one that is shown: `…` stands for anything in a line, alone for any lines."""
    pattern = ""
    for line in shown.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line.rstrip()).replace("…", ".*") + r"[ \t]*\n"
    lines = "".join(f"{line}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is not None
