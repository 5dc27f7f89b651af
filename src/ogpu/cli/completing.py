"""Candidates for shell completion, found without a node."""

from __future__ import annotations

from ogpu.errors import ConfigurationError


def networks(incomplete: str) -> list[str]:
    """The names of networks that begin so."""
    from ogpu.networks import PUBLIC_NETWORKS, known_networks

    try:
        names = list(known_networks())
    except ConfigurationError:  # the network file cannot be read; there is nowhere to say so
        names = list(PUBLIC_NETWORKS)
    return [name for name in names if name.startswith(incomplete)]


def event_kinds(incomplete: str = "") -> list[str]:
    """The names of the protocol's events, and of what several of them are, that begin so."""
    from ogpu import events

    found = (name for name, kind in vars(events).items() if isinstance(kind, type))
    kinds = (name for name in found if issubclass(getattr(events, name), events.ProtocolEvent))
    return sorted(name for name in kinds if name.startswith(incomplete) and name != "ProtocolEvent")
