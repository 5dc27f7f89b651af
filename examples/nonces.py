"""Look at an account's nonces, and mend them when a transaction is stuck."""

from ogpu.client import clear_all_nonce_caches, fix_nonce, get_nonce_info, reset_nonce_cache

info = get_nonce_info()
print(f"Address: {info['address']}")
print(f"Mined: {info['mined_nonce']}, pending: {info['pending_nonce']}, cached: {info['cached_nonce']}")
if info["has_pending"]:
    print(f"{info['pending_count']} transactions are pending")

next_nonce = fix_nonce()
print(f"Next nonce: {next_nonce}")

reset_nonce_cache()
clear_all_nonce_caches()
print("Caches are cleared")
