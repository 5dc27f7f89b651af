"""`ogpu down`: stop a network that runs in the background."""

from __future__ import annotations

from ogpu.cli.options import AsJSON, NetworkFile, network_file_of
from ogpu.cli.output import show_json
from ogpu.cli.screen import say


def down(network_file: NetworkFile = None, as_json: AsJSON = False) -> None:
    """Stop the network of a network file; a file that a dead network left is removed."""
    from ogpu.localnet.detached import stop_detached

    file = network_file_of(network_file)
    ended = stop_detached(file)
    if as_json:
        show_json({"network_file": str(file), "process": ended.process, "removed": ended.removed})
    else:
        say(ended.told)
