"""Loading handler files by their path."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from ogpu.errors import HandlerFileError
from ogpu.service.calls import original_process_only, reporting, run_init
from ogpu.service.registry import Registry, registry


def load_files(paths: list[str]) -> Registry:
    """Load handler files and run what prepares them; gives this process's registry."""
    for path in paths:
        known = len(registry.handlers)
        load_file(path)
        if len(registry.handlers) == known:
            raise HandlerFileError(
                f"{path} exposes no handler.",
                hint="Decorate a function with @expose() of ogpu.service.",
                facts={"file": path},
            )
    for file, function in registry.inits.items():
        with original_process_only():
            run_init(file, function, HandlerFileError)
    return registry


def load_file(path: str) -> None:
    """Run a handler file under its own name, with its folder on the path, as `python file.py` has it."""
    if not Path(path).is_file():
        raise HandlerFileError(f"There is no handler file {path}.", facts={"file": path})
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = _module_name(Path(path).stem)
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
    if spec is None or spec.loader is None:
        raise HandlerFileError(f"{path} is not a Python file.", facts={"file": path})
    module = module_from_spec(spec)
    sys.modules[name] = module
    with original_process_only(), reporting(path, f"Loading {path}", HandlerFileError):
        spec.loader.exec_module(module)


def _module_name(stem: str) -> str:
    taken = stem in sys.modules or stem in sys.stdlib_module_names or not stem.isidentifier()
    return f"handlers_{len(sys.modules)}" if taken else stem
