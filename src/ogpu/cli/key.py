"""`ogpu key`: keys in encrypted files."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu import settings
from ogpu.cli.keys import asked, password
from ogpu.cli.options import AsJSON, PasswordFile, Role
from ogpu.cli.output import show_json
from ogpu.cli.screen import say
from ogpu.errors import KeyMissing, KeystoreError

if TYPE_CHECKING:
    from ogpu.tx.keystore import KeyPair


File = Annotated[Path, typer.Argument(metavar="FILE", help="The keystore file.", show_default=False)]
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def key() -> None:
    """Keep private keys in encrypted files."""


@app.command("new", short_help="Make a new key and its keystore.")
def new(file: File, password_file: PasswordFile = None, as_json: AsJSON = False) -> None:
    """Make a new private key, and write it to a new file that is encrypted with a password. The address is
    shown; the key never is. Without the password nothing brings the key back.
    """
    from ogpu.tx.keystore import account_from

    path = _new_file(file)
    secret = _new_password(password_file)
    _write(path, account_from("0x" + secrets.token_hex(32), "The new key"), secret, as_json)


@app.command("import", short_help="Put a key that you have into a keystore.")
def import_(
    file: File,
    password_file: PasswordFile = None,
    from_env: Annotated[
        bool, typer.Option("--from-env", help="Take the key from {ROLE}_PRIVATE_KEY instead of asking.")
    ] = False,
    role: Annotated[Role, typer.Option("--role", help="Whose variable --from-env reads.")] = Role.client,
    as_json: AsJSON = False,
) -> None:
    """Write a private key that you have to a new file that is encrypted with a password. It is asked for on
    the terminal without being shown, or taken from the environment.
    """
    from ogpu.tx.keystore import account_from

    path = _new_file(file)
    variable = settings.ROLE_KEYS[role.value]
    if from_env:
        value = settings.variable(variable)
        if value is None:
            raise KeyMissing(f"No private key: {variable} is not set.")
        account = account_from(value.strip(), variable)
    else:
        typed = asked("Private key", f"Use --from-env and set {variable}.")
        account = account_from(typed.strip(), "What you typed")
    _write(path, account, _new_password(password_file), as_json)


@app.command("address", short_help="Show whose key a keystore has.")
def address(file: File, password_file: PasswordFile = None, as_json: AsJSON = False) -> None:
    """Show the address of the key in a keystore. The password is only needed for a file that does not say."""
    from ogpu.tx.keystore import keystore_address, open_keystore

    path = file.expanduser()
    said = keystore_address(path)
    _show(said if said is not None else open_keystore(path, password(password_file)).address, path, as_json)


def _new_file(file: Path) -> Path:
    """A path where nothing is yet; asked before a password is."""
    from ogpu.tx.keystore import refuse_existing

    path = file.expanduser()
    refuse_existing(path)
    return path


def _write(path: Path, account: KeyPair, secret: str, as_json: bool) -> None:
    from ogpu.tx.keystore import write_keystore

    write_keystore(path, account, secret)
    _show(account.address, path, as_json)


def _show(address: str, path: Path, as_json: bool) -> None:
    if as_json:
        show_json({"address": address, "file": str(path)})
    else:
        say(address)


def _new_password(file: Path | None) -> str:
    from ogpu.tx.keystore import read_password

    if file is None:
        return asked("Password", "Use --password-file.", twice=True)
    secret = read_password(file.expanduser())
    if not secret:
        raise KeystoreError("The password file is empty.", hint="A key needs a password.")
    return secret
