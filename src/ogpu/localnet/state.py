"""What a local network keeps in its folder: the chain, the content, and who is on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ogpu.errors import LocalNetworkError
from ogpu.localnet.accounts import Accounts, accounts_of
from ogpu.localnet.files import write_private
from ogpu.networks import CONTRACT_NAMES
from ogpu.rpc.codec import checked_address


@dataclass(frozen=True)
class Saved:
    """What an earlier run left.

    `block` is the one by which the contracts were in place; None while a first start has not got so far.
    """

    accounts: Accounts
    contracts: dict[str, str]
    block: int | None


class State:
    """A folder of a local network's state."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "state.json"
        self._folder = folder
        self.chain = folder / "chain.json"
        self.content = folder / "content"
        self.index = folder / "index.sqlite3"
        self.served = folder / "served.json"  # the network as its page's process is told it

    def load(self, chain_id: int) -> Saved | None:
        """What an earlier run left here, or None in a folder where none got so far."""
        if not self._file.exists():
            if self.chain.exists():
                raise self.unusable("a chain.json without its state.json")
            return None
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            found, block = int(document["chain_id"]), document["block"]
            named = document["contracts"] if block is not None else {}
            contracts = {name: checked_address(named[name]) for name in CONTRACT_NAMES if block is not None}
            saved = Saved(accounts_of(document["keys"]), contracts, block and int(block))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            raise self.unusable("a state.json") from None  # the cause may quote keys
        if found != chain_id:
            raise LocalNetworkError(
                f"The state folder {self._folder} holds chain {found}, not chain {chain_id}.",
                hint=f"Use --chain-id {found} (or the same --as as then), or name another folder.",
            )
        if block is None or not self.chain.exists():
            self.chain.unlink(missing_ok=True)
            return None
        return saved

    def save(self, chain_id: int, saved: Saved) -> None:
        """Note who is on the network, for the next run."""
        keys = [account.key.hex() for account in saved.accounts.all()]
        document = {"chain_id": chain_id, "keys": keys, "contracts": saved.contracts, "block": saved.block}
        write_private(self._file, document)

    def unusable(self, what: str) -> LocalNetworkError:
        """The error that says that a file of this folder is damaged."""
        return LocalNetworkError(
            f"The state folder {self._folder} holds {what} that cannot be used.",
            hint="Name another folder with --state, or empty this one to start anew.",
        )
