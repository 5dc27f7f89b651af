"""The index: a database of what the chain's events say, which can be asked anything."""
