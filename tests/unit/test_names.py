"""All tests can be collected together: pytest takes files of one name only from packages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def test_no_two_files_have_the_same_name_outside_of_packages() -> None:
    files = Path(__file__).parents[1].rglob("test_*.py")
    names = Counter(path.name for path in files if not (path.parent / "__init__.py").exists())
    assert [name for name, count in names.items() if count > 1] == []
