"""The demonstration: real sentences through a whole network."""
