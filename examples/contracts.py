"""Print where the protocol's contracts are on the network in use."""

from ogpu.client import ChainConfig

for name in ("NEXUS", "CONTROLLER", "TERMINAL"):
    print(f"{name}: {ChainConfig.get_contract_address(name)}")
