"""Where a journal is, as callers and settings say it; a password is in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogpu.errors import ConfigurationError
from ogpu.tx.journal import Journal, journal_place
from tests.journal.values import CHAIN, on_a_loop, opened, stored


def test_what_is_given_wins_over_the_setting_and_that_over_the_users_own_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OGPU_JOURNAL", "postgresql://x/y")
    assert journal_place(":memory:") == ":memory:"
    assert journal_place() == "postgresql://x/y"
    monkeypatch.delenv("OGPU_JOURNAL")
    own = Path(journal_place())
    assert own.name == "journal.sqlite3"
    assert tmp_path in own.parents
    assert not own.parent.exists()  # to look is not to make


def test_a_path_is_made_absolute_and_the_home_folder_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Journal("~/a.db").name == str(tmp_path / "a.db")
    assert Journal("b.db").name == Journal(Path("b.db")).name == str(tmp_path / "b.db")


@on_a_loop
async def test_a_path_keeps_its_meaning_when_the_program_changes_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened("a.db") as journal:
        monkeypatch.chdir("/")
        await stored(journal, "k")
    assert (tmp_path / "a.db").exists()


@on_a_loop
async def test_a_journal_exists_once_it_was_used(where: str, file: Path) -> None:
    async with opened(where) as journal:
        assert journal.exists == where.startswith("postgresql")  # a server is not asked
        assert not file.exists()
        await journal.forget(CHAIN)
        assert journal.exists
    async with opened(where) as journal:
        assert journal.exists


def test_a_password_is_not_in_a_name() -> None:
    journal = Journal("postgresql://me:hush-hush@host:5432/db?password=hush-hush")
    assert "hush" not in f"{journal!r} {journal.name} {vars(journal)}"
    assert "host" in journal.name


@pytest.mark.parametrize("where", ["mysql://me:hush-hush@host/db", "http://hush-hush", "sqlite:///hush-hush"])
def test_another_kind_of_place_is_refused_and_not_repeated(where: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://") as caught:
        Journal(where)
    assert "hush" not in str(caught.value)


@on_a_loop
async def test_memory_is_a_place_for_one_journal() -> None:
    async with opened(":memory:") as one, opened(":memory:") as two:
        await stored(one, "k")
        assert await one.find("k") is not None
        assert await two.find("k") is None
