"""A service from beginning to end: python source_life.py PROVIDER"""

import sys
from dataclasses import replace

from ogpu import Client
from ogpu.client import ImageEnvironments, SourceInfo
from ogpu.types import Environment

image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
info = SourceInfo("My service", "Repeats what it gets", "", image, 10**15, 0, 3600)

with Client() as client:
    source = client.source(client.publish_source(info))
    client.provider(sys.argv[1]).register(source.address, Environment.CPU)
    print(f"Registered: {source.registrants()}")

    source.update(replace(info, minPayment=2 * 10**15))
    print(f"Least payment: {source.params().min_payment}")

    source.inactivate()
    print(f"Status: {source.status().name}")
