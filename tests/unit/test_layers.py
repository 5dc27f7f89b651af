"""Imports point one way only, as ARCHITECTURE.md draws it; an import within a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "ogpu"

# From the bottom up. A room may import rooms of lower layers, and rooms of its own layer that are named in
# BESIDE; never a higher one.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("types", "errors", "safejson", "text"),
    ("events", "databases"),
    ("settings",),
    ("networks",),
    ("rpc", "content"),
    ("tx", "streams"),
    ("protocol",),
    ("work",),
    ("aio",),
    ("portal",),
    ("sync",),
    ("indexer",),
    ("web",),
    ("client", "service", "provider", "localnet", "demo", "executor"),
    ("cli",),
)
BESIDE = {("provider", "service"), ("localnet", "provider"), ("localnet", "service")}

# What is smaller than its layer: these rooms know nothing but what is named.
NARROW = {
    "service": {"errors", "safejson", "settings", "text", "types"},
    "portal": {"errors"},
    "types": set(),
    "events": {"types"},
    "databases": {"text"},
    "errors": set(),
    "safejson": set(),
    "text": set(),
    "settings": {"errors"},
    "streams": {"rpc", "networks", "events", "errors", "types", "text"},
    "indexer": {
        "rpc",
        "content",
        "networks",
        "settings",
        "databases",
        "events",
        "errors",
        "types",
        "safejson",
        "text",
    },
    "web": {
        "indexer",
        "rpc",
        "content",
        "networks",
        "settings",
        "events",
        "errors",
        "types",
        "safejson",
        "text",
    },
    "demo": {"aio", "errors", "rpc", "types", "networks", "content", "protocol"},
}

# Who may know a room of the top: `ogpu.client` is for programs, the library does not use it itself.
OUTERMOST = {"client", "cli", "demo"}

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module: str) -> str:
    """`ogpu.rpc.codec` is in the room rpc; the package itself is the room "ogpu"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "ogpu"


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("ogpu", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str) -> Iterator[str]:
    """The modules of the package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "ogpu")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            if node.module is not None and node.module.split(".")[0] == "ogpu":
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    yield submodule if submodule in MODULES else node.module


def allowed(importer: str, imported: str) -> bool:
    """Whether one room may import another."""
    if importer in ("ogpu", "__main__"):
        return True  # the package's face names what is public; a test of its own says it loads nothing
    if imported == "ogpu":
        return importer == "cli"  # for the version
    if imported in OUTERMOST and importer != "cli":
        return False
    if importer in NARROW:
        return imported in NARROW[importer]
    return LEVEL[imported] < LEVEL[importer] or (importer, imported) in BESIDE


def test_every_room_has_a_layer() -> None:
    rooms = {room_of(module) for module in MODULES} - {"ogpu", "__main__"}
    assert rooms == set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    here = room_of(module)
    wrong = [
        imported
        for imported in imports_of(module)
        if room_of(imported) != here and not allowed(here, room_of(imported))
    ]
    assert not wrong, f"{module} ({here}) may not import {wrong}"


def test_modules_of_a_room_do_not_import_each_other_in_a_circle() -> None:
    below = {module: set(imports_of(module)) & set(MODULES) - {module} for module in MODULES}
    while free := [module for module, left in below.items() if not left & below.keys()]:
        for module in free:
            del below[module]
    packages = {module for module in below if MODULES[module].name == "__init__.py"}
    # A package's __init__ collects names; that its modules are in it is not a circle.
    inner = {module: {name for name in left if name in below} - packages for module, left in below.items()}
    while free := [module for module, left in inner.items() if not left & inner.keys()]:
        for module in free:
            del inner[module]
    assert not inner, f"these import each other: {inner}"


@pytest.mark.parametrize(
    "module", ["ogpu.tx.fees", "ogpu.tx.state", "ogpu.tx.replies", "ogpu.tx.envelope", "ogpu.rpc.codec"]
)
def test_decisions_do_not_reach_for_network_disk_or_clock(module: str) -> None:
    """The pure modules of the transaction layer import nothing that does input or output."""
    effects = {"aiohttp", "asyncio", "os", "socket", "subprocess", "time", "urllib", "pathlib", "sqlite3"}
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & effects


def test_the_environment_is_read_in_one_place() -> None:
    """`settings` reads the library's variables; a service in its container reads its own."""
    readers = {"ogpu.settings", "ogpu.service.config"}
    found = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert found <= readers, f"{found - readers} read the environment"


def test_the_library_does_not_print() -> None:
    printing = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not printing
