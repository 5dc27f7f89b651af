"""The whole network on this machine: a node, the contracts, content, the page and providers."""
