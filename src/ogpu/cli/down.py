"""`ogpu down`: stop a network that runs in the background."""

from __future__ import annotations

from ogpu.cli.options import NetworkFile, network_file_of
from ogpu.cli.screen import say


def down(network_file: NetworkFile = None) -> None:
    """Stop the network of a network file; a file that a dead network left is removed."""
    from ogpu.localnet.detached import stop_detached

    say(stop_detached(network_file_of(network_file)))
