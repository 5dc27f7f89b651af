"""Says what is wrong with a built wheel and source archive; run by scripts/clean_install."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def package_files() -> set[str]:
    """The files of the package in the repository, as a wheel names them."""
    listed = subprocess.run(
        ["git", "ls-files", "src/ogpu"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {path.removeprefix("src/") for path in listed}


def wheel_problems(path: Path) -> list[str]:
    """What a wheel lacks, or holds and should not."""
    names = set(zipfile.ZipFile(path).namelist())
    missing = [f"{path.name} lacks {name}" for name in sorted(package_files() - names)]
    foreign = [name for name in sorted(names) if not name.startswith(("ogpu/", "opengpu-"))]
    return missing + [f"{path.name} holds {name}" for name in foreign]


def archive_problems(path: Path) -> list[str]:
    """What a source archive lacks, or holds and should not."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {f"src/{name}" for name in package_files()} | {"LICENSE", "README.md", "CHANGELOG.md"}
    built = [name for name in sorted(names) if "node_modules" in name or "__pycache__" in name]
    return [f"{path.name} lacks {name}" for name in sorted(needed - names)] + [
        f"{path.name} holds {name}" for name in built
    ]


def main() -> int:
    """Check the wheel and the source archive that are named."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    wheels = [path for path in paths if path.suffix == ".whl"]
    archives = [path for path in paths if path.name.endswith(".tar.gz")]
    if len(wheels) != 1 or len(archives) != 1:
        print("Name one wheel and one source archive.")
        return 1
    problems = wheel_problems(wheels[0]) + archive_problems(archives[0])
    print("\n".join(problems) or f"{wheels[0].name} and {archives[0].name} hold what they should.")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
