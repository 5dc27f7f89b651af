"""Select a network, and print all that can be selected."""

from ogpu.client import ChainConfig, ChainId

print(f"Current chain: {ChainConfig.get_current_chain().name}")

ChainConfig.set_chain(ChainId.OGPU_MAINNET)
print(f"Now: {ChainConfig.get_current_chain().name}")

ChainConfig.set_chain(ChainId.OGPU_TESTNET)
print(f"And again: {ChainConfig.get_current_chain().name}")

for chain in ChainConfig.get_all_supported_chains():
    print(f"{chain.name}: {chain.value}")
