"""`ogpu key` as a user runs it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from eth_account import Account

from ogpu import settings
from ogpu.cli.options import Role
from ogpu.tx.signer import load_keystore
from tests.localnet.commands import Run, lines, ogpu, running
from tests.support.localnet import wait_until

KEY = "0x4646464646464646464646464646464646464646464646464646464646464646"
ADDRESS = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
PASSWORD = "correct horse wörd"


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def keystore(path: Path, **changes: object) -> None:
    """A file of eth_account's that is quick to open."""
    content = Account.encrypt(bytes.fromhex(KEY[2:]), PASSWORD, kdf="scrypt", iterations=2)
    path.write_text(json.dumps(content | changes))
    path.chmod(0o600)


def answer(run: Run, question: str, text: str, times: int = 1) -> None:
    """Type a line when it is asked for the n-th time."""
    wait_until(lambda: run.said().count(question) >= times, 60, f"{question!r} in {run.said()!r}")
    os.write(run.terminal, text.encode() + b"\r")


def test_a_new_key(tmp_path: Path, password_file: str) -> None:
    code, said = ogpu(tmp_path, "key", "new", "key.json", "--password-file", password_file)
    assert code == 0, said
    assert re.fullmatch(r"0x[0-9a-fA-F]{40}\n", said)
    assert (tmp_path / "key.json").stat().st_mode & 0o777 == 0o600
    assert load_keystore(tmp_path / "key.json", PASSWORD).address == said.strip()
    assert ogpu(tmp_path, "key", "address", "key.json") == (0, said)
    written = (tmp_path / "key.json").read_bytes()
    for command in ("new", "import"):
        code, said = ogpu(tmp_path, "key", command, "key.json", "--password-file", password_file)
        assert code == 2
        assert "'key.json' exists already" in said
    assert (tmp_path / "key.json").read_bytes() == written
    code, said = ogpu(tmp_path, "key", "new", "other.json", "--password-file", password_file)
    assert json.loads(written)["address"].lower() not in said.lower()


def test_the_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    with running(tmp_path, "key", "new", "key.json", terminal=True) as run:
        answer(run, "Password: ", PASSWORD)
        answer(run, "Repeat for confirmation: ", "another")
        answer(run, "Password: ", PASSWORD, times=2)
        answer(run, "Repeat for confirmation: ", PASSWORD, times=2)
        assert run.end() == 0
        said = run.said()
    assert PASSWORD not in said
    assert "another" not in said
    assert load_keystore(tmp_path / "key.json", PASSWORD).address in said


def test_a_key_is_typed_unseen(tmp_path: Path, password_file: str) -> None:
    arguments = ("key", "import", "key.json", "--password-file", password_file)
    with running(tmp_path, *arguments, terminal=True) as run:
        answer(run, "Private key: ", KEY)
        assert run.end() == 0
        assert KEY[2:] not in run.said()
        assert ADDRESS in run.said()
    assert load_keystore(tmp_path / "key.json", PASSWORD).address == ADDRESS


def test_a_mistyped_key_is_not_repeated(tmp_path: Path, password_file: str) -> None:
    arguments = ("key", "import", "key.json", "--password-file", password_file)
    with running(tmp_path, *arguments, terminal=True) as run:
        answer(run, "Private key: ", KEY[:-1])
        assert run.end() == 2
        assert "What you typed is not a private key" in run.said()
        assert KEY[2:-1] not in run.said()
    assert not (tmp_path / "key.json").exists()


@pytest.mark.parametrize("role", ["client", "agent"])
def test_a_key_from_the_environment(tmp_path: Path, password_file: str, role: str) -> None:
    arguments = ("key", "import", "key.json", "--from-env", "--role", role, "--password-file", password_file)
    code, said = ogpu(tmp_path, *arguments, variables={f"{role.upper()}_PRIVATE_KEY": ""})
    assert (code, lines(said)) == (2, [f"Error: No private key: {role.upper()}_PRIVATE_KEY is not set."])
    assert ogpu(tmp_path, *arguments, variables={f"{role.upper()}_PRIVATE_KEY": KEY}) == (0, ADDRESS + "\n")
    assert load_keystore(tmp_path / "key.json", PASSWORD).address == ADDRESS


def test_every_role_has_its_variable() -> None:
    assert [role.value for role in Role] == list(settings.ROLE_KEYS)


def test_the_address_of_a_file_that_does_not_say_it(tmp_path: Path, password_file: str) -> None:
    keystore(tmp_path / "key.json", address=None)
    arguments = ("key", "address", "key.json", "--password-file")
    assert ogpu(tmp_path, *arguments, password_file) == (0, ADDRESS + "\n")
    (tmp_path / "wrong").write_text("wrong")
    (tmp_path / "wrong").chmod(0o600)
    code, said = ogpu(tmp_path, *arguments, "wrong")
    assert code == 2
    assert said.startswith("Error: The keystore 'key.json' does not open with that password.\n")


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    for arguments, hint in (
        (("key", "new", "key.json"), "Use --password-file."),
        (("key", "import", "key.json"), "Use --from-env and set CLIENT_PRIVATE_KEY."),
    ):
        code, said = ogpu(tmp_path, *arguments)
        assert (code, lines(said)[-1]) == (2, hint)
    assert not (tmp_path / "key.json").exists()


def test_files_that_cannot_be(tmp_path: Path, password_file: str) -> None:
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "text").write_text("no keystore")
    (tmp_path / "text").chmod(0o600)
    (tmp_path / "link").symlink_to("nowhere")
    for arguments, reason in (
        (("new", "none/key.json", "--password-file", password_file), "none/key.json: No such file"),
        (("new", "key.json", "--password-file", "none"), "'none' cannot be read: No such file"),
        (("new", "key.json", "--password-file", "empty"), "The password file is empty"),
        (("new", "link", "--password-file", password_file), "'link' exists already"),
        (("address", "none.json"), "'none.json' cannot be read"),
        (("address", "text"), "'text' is not a keystore"),
    ):
        code, said = ogpu(tmp_path, "key", *arguments)
        assert code in (1, 2)
        assert said.startswith(f"Error: {reason}"), said
        assert "Traceback" not in said
    assert not (tmp_path / "key.json").exists()


def test_ctrl_c_at_the_question_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, "key", "new", "key.json", terminal=True) as run:
        wait_until(lambda: "Password: " in run.said(), 60, "the question")
        os.write(run.terminal, b"\x03")
        assert run.end() != 0
    assert not (tmp_path / "key.json").exists()


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    keystore(tmp_path / "key.json")
    (tmp_path / "key.json").chmod(0o644)
    code, said = ogpu(tmp_path, "key", "address", "key.json")
    assert code == 0
    assert lines(said) == ["Others can read 'key.json': chmod 600 it.", ADDRESS]
