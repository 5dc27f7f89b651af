"""Who signs what a command sends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ogpu import settings
from ogpu.errors import InvalidInput, KeyMissing, KeystoreError

if TYPE_CHECKING:
    from ogpu.cli.options import Signing
    from ogpu.tx.signer import Signer
    from ogpu.types import Role


def signer_of(how: Signing, usual: Role | None) -> Signer:
    """The signer that the options name, else that of the command's usual role.

    Commands that move money of whoever signs have no usual role; a key is never guessed.
    """
    from ogpu.tx.signer import load_keystore, resolve_signer

    if how.key_from is not None:
        if how.role is not None:
            raise InvalidInput("--role and --key-from both say who signs.", hint="Give one of them.")
        return load_keystore(how.key_from, password(how.password_file))
    role = how.role.value if how.role else usual
    if role is None:
        set_ = [f"--role {name}" for name in roles_with_keys()]
        raise KeyMissing(
            "This moves money or rights of whoever signs it, and --role does not say who does.",
            hint=f"Keys are set for: {', '.join(set_)}."
            if set_
            else "Give --role client and set CLIENT_PRIVATE_KEY (or another role's), or --key-from FILE.",
        )
    return resolve_signer(None, role)


def roles_with_keys() -> list[str]:
    """The roles whose variables are set."""
    return [
        role
        for role in settings.ROLE_KEYS
        if settings.variable(settings.ROLE_KEYS[role]) or settings.variable(settings.ROLE_KEYSTORES[role])
    ]


def password(file: Path | None) -> str:
    """The password of a keystore: from a file, else from whoever is at the terminal."""
    from ogpu.tx.keystore import read_password

    if file is not None:
        return read_password(file.expanduser())
    return asked("Password", "Use --password-file.")


def asked(what: str, otherwise: str, *, twice: bool = False) -> str:
    """What a person types, unseen; where nobody can, an error says what to do instead."""
    if not sys.stdin.isatty():
        raise KeystoreError(f"{what}: there is no terminal to ask on.", hint=otherwise)
    answer: str = typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return answer
