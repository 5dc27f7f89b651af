"""Whoever does what the README and the documentation say, block by block, gets what they show."""

from __future__ import annotations

import ast
import codeop
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ogpu.cli.exits import Exit
from ogpu.networks import ROLES
from tests.docs import warm
from tests.docs.pages import RUN, SHOWN, Block, blocks_of, commands_of, matches
from tests.docs.reader import Reader
from tests.support.localnet import RunningNetwork, started

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page.relative_to(ROOT).as_posix(): blocks_of(page) for page in PAGES}
RUNNING = [page for page, blocks in BLOCKS.items() if any(block.runs for block in blocks)]

# Why a block may be marked as not run.
REASONS = {
    "installs": "the installation, which other tests do as it is written",
    "runs until Ctrl+C": "a server in the foreground, which other tests start",
    "asks for a password": "typed on a terminal, which other tests do",
    "needs funds": "an account on the testnet or mainnet",
    "needs a stuck transaction": "mended in other tests",
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """The local network of a reader: `ogpu up`."""
    with started(tmp_path_factory.mktemp("reader")) as running:
        yield running


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, bare_network: RunningNetwork) -> Iterator[Path]:
    """The folder of the command `ogpu`, which starts quickly."""
    folder = tmp_path_factory.mktemp("commands")
    with warm.started(folder / "socket") as server:
        warm.command_in(folder, folder / "socket", bare_network.file)
        yield folder
        assert server.stdin is not None
        server.stdin.close()


@pytest.fixture
def folder(tmp_path: Path, commands: Path) -> Iterator[Path]:
    """The folder of a reader; networks that were started there are stopped at last."""
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copytree(ROOT / "examples", folder / "examples")
    yield folder
    for file in folder.glob("*.json"):
        if not file.is_symlink() and "rpc_urls" in file.read_text(encoding="utf-8"):
            subprocess.run([commands / "ogpu", "down", "--network-file", file], check=True)


@dataclass(frozen=True)
class Reading:
    """A page, and which of its tabs somebody reads; "" when it has none."""

    page: str
    tab: str

    def __str__(self) -> str:
        return f"{self.page} {self.tab}".rstrip()


def read(reading: Reading, folder: Path, commands: Path, network: RunningNetwork | None) -> None:
    """Do what a page says; with a network, it is found as the page on the local network tells."""
    environment = {
        **os.environ,  # without settings of whoever runs the tests
        "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "XDG_STATE_HOME": str(folder.parent / "state"),
    }
    if network is not None:
        (folder / "local.json").symlink_to(network.file)
        environment |= {f"{role.upper()}_PRIVATE_KEY": network.key(role) for role in ROLES}
        environment["OGPU_NETWORK_FILE"] = str(folder / "local.json")
    with contextlib.closing(Reader(folder, environment)) as reader:
        for block in BLOCKS[reading.page]:
            if block.tab in ("", reading.tab):
                reader.do(str(reading), block)


def readings_of(page: str) -> list[Reading]:
    """A page is read once for each of its tabs, alone."""
    tabs = dict.fromkeys(block.tab for block in BLOCKS[page] if block.tab)
    return [Reading(page, tab) for tab in tabs or [""]]


def starts_a_network(page: str) -> bool:
    """Whether a page has a network of its own, and not the one that pages share."""
    return any(block.runs and "ogpu up" in block.text for block in BLOCKS[page])


READINGS = [reading for page in RUNNING for reading in readings_of(page)]
SHARED = [reading for reading in READINGS if not starts_a_network(reading.page)]
OWN = [reading for reading in READINGS if starts_a_network(reading.page)]


@pytest.mark.parametrize("reading", SHARED, ids=str)
def test_a_page_does_what_it_shows(
    reading: Reading, folder: Path, commands: Path, network: RunningNetwork
) -> None:
    read(reading, folder, commands, network)


@pytest.mark.parametrize("reading", OWN, ids=str)
def test_a_page_with_a_network_of_its_own_does_what_it_shows(
    reading: Reading, folder: Path, commands: Path, bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OGPU_NETWORK_FILE", "CLIENT_PRIVATE_KEY"):  # the page says how to set them
        monkeypatch.delenv(name)
    read(reading, folder, commands, None)


def test_every_guide_of_a_role_can_be_followed_on_the_command_line_alone() -> None:
    guides = ["client", "bids", "author", "provider", "master", "agent", "vault"]
    pages = ["docs/tutorial.md", *(f"docs/guides/{guide}.md" for guide in guides)]
    for page in pages:
        assert [reading.tab for reading in readings_of(page)] == ["Python", "Command line"], page
        for block in BLOCKS[page]:
            assert block.tab != "Command line" or block.language != "python", f"{page}:{block.line}"
            assert block.tab or block.language != "python" or block.title, f"{page}:{block.line}"


def test_the_exit_codes_on_the_page_are_the_real_ones() -> None:
    table = "\n".join(f"| {code.value} | {code.meaning} |" for code in Exit)
    assert f"| | |\n|---|---|\n{table}\n\n" in (ROOT / "docs/cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", BLOCKS)
def test_no_block_is_left_out_without_a_reason(page: str) -> None:
    for block in BLOCKS[page]:
        where = f"{page}:{block.line}"
        assert block.language in RUN | SHOWN, f"{where}: {block.language} is neither run nor shown"
        if block.not_run:
            assert block.language in RUN, f"{where} would not run anyway"
            assert block.not_run in REASONS, f"{where}: {block.not_run}: say why in test_pages.py"
        if block.language in SHOWN and not block.title:
            code = re.search(r"^(?:\$ |ogpu |import ogpu|from ogpu)", block.text, re.MULTILINE)
            assert not code, f"{where} looks as if it should run"


def test_every_reason_is_one_that_a_block_has() -> None:
    given = {block.not_run for blocks in BLOCKS.values() for block in blocks if block.not_run}
    assert given == set(REASONS)


def test_every_mark_belongs_to_a_block() -> None:
    """A mark that stands anywhere else would leave its block running, or a later one out."""
    for page, blocks in BLOCKS.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text.count("<!-- not run") == sum(bool(block.not_run) for block in blocks), page


@pytest.mark.parametrize("example", ["first_program.py", "handlers.py"])
def test_the_readme_shows_the_example(example: str) -> None:
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")
    first = ast.parse(text).body[0]
    assert isinstance(first, ast.Expr)
    assert first.end_lineno is not None
    program = "\n".join(text.splitlines()[first.end_lineno :]).strip()
    assert program in [block.text.strip() for block in BLOCKS["README.md"]]


@pytest.mark.parametrize("page", RUNNING)
def test_every_program_can_be_pasted_at_pythons_prompt(page: str) -> None:
    """There a blank line ends what is indented, and the next line that is indented is an error."""
    for block in BLOCKS[page]:
        if block.language == "python" and block.runs:
            typed: list[str] = []
            for line in [*block.text.splitlines(), ""]:
                typed.append(line)
                code = codeop.compile_command("\n".join(typed), f"{page}:{block.line}")
                typed = typed if code is None else []


# --- the harness itself: what is wrong on a page is found


@pytest.mark.parametrize(
    "block",
    [
        Block("python", "print(1)", 1, output="2"),
        Block("python", "raise ValueError", 1),
        Block("sh", "false", 1),
        Block("sh", "echo $UNSET", 1),
        Block("sh", "echo one", 1, output="two"),
        Block("console", "$ echo one\ntwo", 1),
        Block("console", "$ false\n$ echo one\none", 1),
        Block("console", "$ false\n$ echo $?\n0", 1),
    ],
)
def test_a_block_that_is_wrong_fails(block: Block, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    reader = Reader(tmp_path / "folder", os.environ)
    with pytest.raises(AssertionError):
        reader.do("page", block)
    reader.close()


def test_what_a_block_leaves_is_there_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    reader = Reader(tmp_path / "folder", os.environ)
    for block in (
        Block("sh", "NAME=one\nmkdir in\ncd in", 1),
        Block("python", "import os; print(os.environ['NAME']); x = 5", 1, output="one"),
        Block("python", "print(x)", 1, output="5"),
        Block("sh", "NAME=two", 1),
        Block("python", "print(os.environ['NAME'] if 'os' in globals() else 'new')", 1, output="new"),
        Block("sh", "NAME=one", 1),
        Block("text", "kept", 1, title="file"),
        Block("console", "$ echo $NAME; cat file\none\nkept\n$ basename $PWD\nin\n$ false\n$ echo $?\n1", 1),
    ):
        reader.do("page", block)
    reader.close()


def test_the_blocks_of_a_page_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n```python\nx = 1\n```\n\n```text\nout\n```\nText.\n```text\nno output\n```\n"
        "<!-- not run: for a reason -->\n```sh\ncd\n```\n"
        '=== "Tab"\n    ```yaml title="a.yaml"\n    a:\n\n      b: 1\n    ```\n\n```\nx\n```\n'
    )
    assert blocks_of(page) == [
        Block("python", "x = 1", 2, output="out"),
        Block("text", "no output", 10),
        Block("sh", "cd", 14, not_run="for a reason"),
        Block("yaml", "a:\n\n  b: 1", 18, title="a.yaml", tab="Tab"),
        Block("", "x", 24),
    ]


def test_commands_and_their_output_are_told_apart() -> None:
    commands = commands_of(Block("console", "$ one \\\n  more\nout\n\nput\n$ two\n> more\n$ three", 1))
    assert [(one.text, one.output) for one in commands] == [
        ("one \\\n  more", "out\n\nput"),
        ("two\nmore", ""),
        ("three", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a", "a\nb\n", False),
        ("", "a\n", False),
        ("0x… wei", "0xab12 wei\n", True),
        ("0x…\nb", "0xab\nmore\nb\n", False),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…\nd", "a\nd\n", True),
        ("a\n…", "b\n", False),
        ("…", "", True),
    ],
)
def test_an_output_is_compared_with_what_is_shown(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) == same


def test_a_shell_without_a_network_is_told_how_to_start_one(tmp_path: Path) -> None:
    script = f". {ROOT / 'examples' / 'local.sh'} || echo and goes on"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "and goes on\n"
    assert done.stderr == (
        "There is no local.json here; this makes one: ogpu up --network-file local.json --detach\n"
    )
