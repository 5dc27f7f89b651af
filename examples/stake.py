"""Put coin to stake in the Vault, and begin to take some of it back."""

from ogpu import Client

OGPU = 10**18

with Client() as client:
    client.vault.deposit(25 * OGPU, role="client")
    client.vault.lock(20 * OGPU, role="client")
    begun = client.vault.unbond(8 * OGPU, role="client")

    account = client.vault.account(client.get_nonce_info()["address"])
    print(f"Balance: {account.balance}, stake: {account.lockup}, unbonding: {account.unbonding}")
    print(f"It can be claimed in {account.unbonding_matures - begun.block_time} seconds")
