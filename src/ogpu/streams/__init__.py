"""Streams of the protocol's events: one look at the chain for all who watch."""
