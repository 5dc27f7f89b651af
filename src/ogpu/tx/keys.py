"""The keys of a client: the one it was given or that the environment names, and those of single calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu import settings
from ogpu.errors import ConfigurationError
from ogpu.tx.signer import resolve_signer

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


_VARIABLES = (settings.ROLE_KEYS["client"], settings.ROLE_KEYSTORES["client"])


class Keys:
    """Signers. A keystore takes a second to open, so the default one is kept until settings change."""

    def __init__(self, default: str | LocalAccount | Signer | None) -> None:
        self._given = default
        self._named: tuple[str | None, ...] = ()
        self._default: Signer | None = None

    def signer(self, private_key: str | LocalAccount | Signer | None = None) -> Signer:
        """The signer of a call's own key, else the default one."""
        if private_key is not None:
            return resolve_signer(private_key)
        named = () if self._given is not None else tuple(map(settings.variable, _VARIABLES))
        if self._default is None or named != self._named:
            self._default, self._named = resolve_signer(self._given), named
        return self._default

    def signer_of(self, sender: str) -> Signer | None:
        """The default signer when it is that account's."""
        try:
            signer = self.signer()
        except ConfigurationError:  # there is none, or it cannot be used
            return None
        return signer if signer.address == sender else None
