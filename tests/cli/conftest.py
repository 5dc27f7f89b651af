"""What the tests of commands share."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.cli.here import Here
from tests.support.localnet import RunningNetwork


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command in this process."""
    return Here(monkeypatch, capsys)


@dataclass
class Roles:
    """An account for each role, none paired with another yet; each has coin."""

    network: RunningNetwork
    keys: dict[str, str]
    addresses: dict[str, str]

    def __getattr__(self, role: str) -> str:
        return self.addresses[role]


@pytest.fixture
def roles(bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> Roles:
    """The network without a provider, wound back after the test, with a key for each role."""
    chosen = {
        "client": ("client", 0),
        "provider": ("client", 1),
        "master": ("client", 2),
        "agent": ("agent", 0),
    }
    keys = {role: bare.key(*account) for role, account in chosen.items()}
    for role, key in keys.items():
        monkeypatch.setenv(f"{role.upper()}_PRIVATE_KEY", key)
    return Roles(bare, keys, {role: bare.address(*account) for role, account in chosen.items()})
