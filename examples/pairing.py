"""Pair a master with a provider, each by its own key, and part them: python pairing.py MASTER PROVIDER"""

import sys

from ogpu import Client

OGPU = 10**18

with Client() as client:
    master, provider = client.master(sys.argv[1]), client.provider(sys.argv[2])

    master.announce_provider(provider.address, 20 * OGPU)  # which becomes the provider's stake
    provider.announce_master(master.address)
    print(f"Master: {provider.snapshot().master}, stake: {provider.snapshot().vault.lockup}")

    master.remove_provider(provider.address)
    print(f"Master: {provider.snapshot().master}, stake: {provider.snapshot().vault.lockup}")
