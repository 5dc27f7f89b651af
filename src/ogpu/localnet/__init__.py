"""The whole network on this machine: a node, the contracts, content, management and providers."""
