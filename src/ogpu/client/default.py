"""The default client behind the functional API: the one mutable state of the library, in one place."""

from __future__ import annotations

import threading

from ogpu.networks import Network, default_network
from ogpu.sync import Client

_lock = threading.Lock()
_selected: Network | None = None
_clients: dict[Network, Client] = {}


def select(network: Network) -> None:
    """Use a network from now on."""
    global _selected
    _selected = network


def selected() -> Network:
    """The network in use."""
    return _selected or default_network()


def client() -> Client:
    """The client of the network in use; each network keeps its own, and with it its nonces."""
    network = selected()
    with _lock:
        if network not in _clients:
            _clients[network] = Client(network)
        return _clients[network]


def clients() -> list[Client]:
    """All clients that were made."""
    with _lock:
        return list(_clients.values())
