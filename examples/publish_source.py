"""Publish a service (a Source), and print its address."""

from web3 import Web3

from ogpu.client import DeliveryMethod, ImageEnvironments, SourceInfo, publish_source

source_info = SourceInfo(
    name="Sentiment Service",
    description="AI service for sentiment analysis",
    logoUrl="https://example.com/logo.png",
    imageEnvs=ImageEnvironments(
        cpu="https://example.com/cpu/docker-compose.yml",
        nvidia="https://example.com/nvidia/docker-compose.yml",
    ),
    minPayment=Web3.to_wei(0.001, "ether"),
    minAvailableLockup=Web3.to_wei(0.0, "ether"),
    maxExpiryDuration=86400,
    deliveryMethod=DeliveryMethod.MANUAL_CONFIRMATION,
)

source_address = publish_source(source_info)
print(f"Source published at: {source_address}")
