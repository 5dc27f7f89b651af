"""Claim stake whose unbonding time has passed, and take it out of the Vault."""

from ogpu import Client

with Client() as client:
    me = client.get_nonce_info()["address"]
    amount = client.vault.unbonding_of(me)
    client.vault.claim(role="client")
    client.vault.withdraw(amount, role="client")

    account = client.vault.account(me)
    print(f"Balance: {account.balance}, stake: {account.lockup}, unbonding: {account.unbonding}")
