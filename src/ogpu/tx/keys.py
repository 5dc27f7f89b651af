"""The keys of a client: the one it was given, those that the environment names for roles, those of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ogpu import settings
from ogpu.errors import ConfigurationError, InvalidInput, KeyMissing
from ogpu.text import shown
from ogpu.tx.signer import resolve_signer

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer
    from ogpu.types import Role

    Key: TypeAlias = str | LocalAccount | Signer


class Keys:
    """Signers. A keystore takes a second to open, so a role's signer is kept until settings change."""

    def __init__(self, given: Key | None) -> None:
        self._given = given
        self._own: Signer | None = None
        self._of_roles: dict[str, tuple[tuple[str | None, ...], Signer]] = {}

    def signer(
        self, private_key: Key | None = None, role: Role | None = None, usual: Role | None = "client"
    ) -> Signer:
        """Who signs a call: the key or the role that it names, else the client's own key, else `usual`.

        Without any of them, as for calls that move money of whoever signs, it is `KeyMissing`.
        """
        if role is not None and not (isinstance(role, str) and role in settings.ROLE_KEYS):
            raise InvalidInput(
                f"role is {shown(role)}; it must be one of {', '.join(settings.ROLE_KEYS)}.",
                facts={"field": "role"},
            )
        if private_key is not None:
            if role is not None:
                raise InvalidInput("private_key and role both say who signs.", hint="Give one of them.")
            return resolve_signer(private_key)
        if role is None and self._given is not None:
            if self._own is None:
                self._own = resolve_signer(self._given)
            return self._own
        role = role or usual
        if role is None:
            raise KeyMissing(
                "This call moves money or rights of whoever signs it, and does not say who does.",
                hint="Name a role (role='client' signs with CLIENT_PRIVATE_KEY, and so on: "
                f"{', '.join(settings.ROLE_KEYS)}), or give private_key=.",
            )
        return self._of_role(role)

    def signer_of(self, sender: str) -> Signer | None:
        """The client's own signer, or that of a client's role, when it is that account's."""
        try:
            signer = self.signer()
        except ConfigurationError:  # there is none, or it cannot be used
            return None
        return signer if signer.address == sender else None

    def _of_role(self, role: Role) -> Signer:
        named = tuple(map(settings.variable, (settings.ROLE_KEYS[role], settings.ROLE_KEYSTORES[role])))
        kept = self._of_roles.get(role)
        if kept is None or kept[0] != named:
            kept = self._of_roles[role] = (named, resolve_signer(None, role))
        return kept[1]
