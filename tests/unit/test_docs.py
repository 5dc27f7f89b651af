"""What is written for readers is true: links, commands, options, variables, and the tree of errors."""

from __future__ import annotations

import json
import pydoc
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

import ogpu
import ogpu.client
import ogpu.sync
from ogpu import errors, networks, settings
from ogpu.cli.main import app
from ogpu.protocol.reverts import KINDS, OF_FUNCTIONS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
)
GENERATED = sorted((ROOT / "docs" / "reference").glob("*.md"))
GENERATED = [page for page in GENERATED if page.read_text(encoding="utf-8").startswith("<!-- Generated")]
GUIDES = [
    page for page in PAGES if (page.parent == ROOT or ROOT / "docs" in page.parents) and page not in GENERATED
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = typer.main.get_command(app)


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(name: str = "ogpu", command: Any = COMMAND) -> Iterator[tuple[str, Any]]:
    """Every command and group of commands, by what is typed for it."""
    yield name, command
    for inner, found in getattr(command, "commands", {}).items():
        yield from commands(f"{name} {inner}", found)


COMMANDS = dict(commands())
LEAVES = [name for name, command in COMMANDS.items() if not hasattr(command, "commands")]


def options_of(name: str) -> set[str]:
    """The options of a command; for a group, those of all its commands."""
    every = [command for typed, command in COMMANDS.items() if f"{typed} ".startswith(f"{name} ")]
    found = {
        option
        for one in every
        for parameter in one.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return found | {"--help"}


def commands_in(text: str) -> list[tuple[str, list[str]]]:
    """The uses of `ogpu COMMAND` in code, each with the options it names."""
    code = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    found = []
    for piece in code:
        for name, rest in re.findall(r"(?:^|[\s(])ogpu ([a-z]+)([^\n;|]*)", piece.replace("\\\n", " ")):
            called = f"ogpu {name}"
            while (inner := re.match(r" +([a-z][a-z-]*)(?![^\s)])", rest)) and "|" not in rest[: inner.end()]:
                if f"{called} {inner[1]}" not in COMMANDS and called not in GROUPS:
                    break
                called, rest = f"{called} {inner[1]}", rest[inner.end() :]
            found.append((called, re.findall(r"(?<!\S)--[a-z-]+", rest)))
    return found


GROUPS = set(COMMANDS) - set(LEAVES)


def test_the_pages_are_there() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/protocol.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b(?:scripts|bench|examples|contracts|docs|tests|src)/[\w./-]*\w", text)
    missing = [name for name in named if "node_modules" not in name and not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    for command, options in commands_in(page.read_text(encoding="utf-8")):
        assert command in COMMANDS, f"there is no `{command}`"
        assert set(options) <= options_of(command), f"{command} {options}"


def test_commands_that_the_page_tells_to_type_exist() -> None:
    templates = [path.read_text() for path in (ROOT / "src/ogpu/web/templates").glob("*.html")]
    code = "\n".join(re.findall(r"<code>(.*?)</code>", "\n".join(templates), re.DOTALL))
    told = commands_in("\n".join(f"`{line}`" for line in code.splitlines()))
    assert len(told) > 8
    for command, options in told:
        assert command in COMMANDS, f"there is no `{command}`"
        assert set(options) <= options_of(command), f"{command} {options}"


def test_a_command_that_is_not_there_is_noticed() -> None:
    shown = (
        "ogpu task ls --mine",
        "ogpu task lss 0x",
        "ogpu vault deposit 1ogpu --role client",
        "ogpu up --x",
    )
    text = "```sh\n" + "\n".join(shown) + "\n```"
    assert commands_in(text) == [
        ("ogpu task ls", ["--mine"]),
        ("ogpu task lss", []),
        ("ogpu vault deposit", ["--role"]),
        ("ogpu up", ["--x"]),
    ]
    assert "ogpu task lss" not in COMMANDS
    assert "--x" not in options_of("ogpu up")


def test_the_guides_name_every_group_of_commands() -> None:
    named = {
        " ".join(name.split()[:2])
        for page in GUIDES
        for name, _ in commands_in(page.read_text(encoding="utf-8"))
    }
    assert named == {f"ogpu {name}" for name in COMMAND.commands}  # type: ignore[attr-defined]


def test_the_reference_has_a_section_for_every_command() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^#+ (ogpu .*)$", page, re.MULTILINE)) == set(COMMANDS) - {"ogpu"}
    assert len(LEAVES) >= 50


def test_the_readme_names_every_option_of_up_and_no_other() -> None:
    table = README.partition("## `ogpu up`")[2].partition("Ctrl+C")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == options_of("ogpu up") - {"--help"}


def test_the_readme_names_every_field_of_a_network_file() -> None:
    table = README.partition("The **network file**")[2].partition("## ")[0]
    named = set(re.findall(r"`(\w+)`", table))
    fields = {
        "name",
        "chain_id",
        "rpc_urls",
        "ws_urls",
        "contracts",
        "content",
        "management_url",
        "accounts",
        "pid",
    }
    assert named >= fields | {"upload_url", "gateway_url", "address", "private_key"}
    assert named >= set(networks.CONTRACT_NAMES) | set(networks.ROLES)


def test_the_readme_names_only_variables_that_are_read() -> None:
    known = {settings.NETWORK_FILE, *settings.ROLE_KEYS.values()}
    assert set(re.findall(r"\b[A-Z]+_(?:PRIVATE_KEY|NETWORK_FILE)\b", README)) <= known


def test_the_versions_agree() -> None:
    assert f"## [{ogpu.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_node_version_that_the_readme_names_is_installed() -> None:
    from ogpu.localnet.node import ANVIL_VERSION

    assert f"version {ANVIL_VERSION}" in README


def test_the_readme_says_how_many_sentences_the_demonstration_has() -> None:
    sample = (ROOT / "src" / "ogpu" / "demo" / "sentences.txt").read_text(encoding="utf-8")
    assert f"sends {len(sample.splitlines())} sentences" in README


def test_messages_in_the_troubleshooting_table_are_the_programs_own() -> None:
    """Each piece of a message between its variable parts is in the source as it is in the table."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "ogpu").rglob("*.py"))
    # Adjacent string literals are one text, and f-string fields are variable.
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)
    joined = re.sub(r"\{[^{}]*\}", "…", joined)
    table = README.partition("## Troubleshooting")[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) >= 10
    system = {"No such file or directory", "Address already in use"}  # the operating system's own words
    known = {"CLIENT_PRIVATE_KEY", "'local'", "node"}  # values in variable parts
    for message in messages:
        for piece in re.split("|".join(["…", *map(re.escape, system | known)]), message):
            text = piece.strip(" .,:;")
            assert text in joined, f"{message!r}: {text!r} is in no message of the program"


def test_the_reference_has_every_public_name() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    shown = re.findall(r"^::: (\S+)$", "\n".join(page.read_text("utf-8") for page in pages), re.MULTILINE)
    found = [pydoc.locate(name) for name in shown]
    assert None not in found
    modules = {value.__name__ for value in found if isinstance(value, ModuleType)}
    public = {
        *(getattr(ogpu, name) for name in ogpu.__all__),
        *(getattr(ogpu.client, name) for name in ogpu.client.__all__),
        *(v for v in vars(ogpu.sync).values() if isinstance(v, type) and v.__module__ == "ogpu.sync"),
    }
    # `AsyncClient` has what `Client` has, and the errors have a page of their own.
    public -= {ogpu.AsyncClient, ogpu.OGPUError, ogpu.__version__}
    assert not [value for value in public if value not in found and value.__module__ not in modules]


# --- the tree at the top of errors.py


def drawn() -> dict[str, tuple[str, set[str]]]:
    """Each error in the drawing: its parent, and the further classes beside it."""
    tree: dict[str, tuple[str, set[str]]] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│ ]*)[├└]── (.*)", line)
        if not match:
            continue
        depth = len(match[1])
        names = re.split(r"\s{2,}", match[2])[0]
        while above and above[-1][0] >= depth:
            above.pop()
        for part in names.split(" · "):
            name, _, others = part.partition(" ")
            assert name not in tree
            tree[name] = (above[-1][1] if above else "OGPUError", set(re.findall(r"\w+", others)))
        above.append((depth, names.split(" · ")[-1].split(" ")[0]))
    return tree


def test_the_tree_of_errors_is_the_real_one() -> None:
    real = {
        value.__name__: (value.__bases__[0].__name__, {base.__name__ for base in value.__bases__[1:]})
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.OGPUError) and value is not errors.OGPUError
    }
    assert drawn() == real


# --- what is checked in


def test_no_lock_file_names_a_download_address() -> None:
    locks = [path for path in ROOT.rglob("package-lock.json") if "node_modules" not in path.parts]
    assert locks
    for lock in locks:
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        assert not [name for name, package in packages.items() if "resolved" in package]


def test_the_lock_file_has_every_package_that_is_asked_for() -> None:
    """`npm ci` refuses a lock file without them, also those for other systems."""
    for lock in (ROOT / "contracts" / "package-lock.json",):
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        wanted = {
            name
            for package in packages.values()
            for kind in ("dependencies", "devDependencies", "optionalDependencies")
            for name in package.get(kind, {})
        }
        assert not {name for name in wanted if f"node_modules/{name}" not in packages}


def test_generated_files_say_so_on_their_first_line() -> None:
    generated = [ROOT / "src/ogpu/sync.py", *(ROOT / "src/ogpu/abi").glob("*.json"), *GENERATED]
    assert len(generated) == 12
    for path in generated:
        assert "enerated" in path.read_text(encoding="utf-8").partition("\n")[0], path.name


def test_the_protocol_page_has_the_error_of_each_reason() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page.partition("## Reverts")[2], re.MULTILINE)
    told: dict[str, set[str]] = {}
    for reasons, said in rows:
        for reason in re.findall(r"`(\w+)`", reasons):
            told[reason] = set(re.findall(r"`(\w+)`", said)) | ({reason} if "same name" in said else set())
    for reason, error in KINDS.items():
        assert error.__name__ in told[reason], reason
    for (_, reason), error in OF_FUNCTIONS.items():
        assert error.__name__ in told[reason], reason
    assert told.keys() == KINDS.keys()
