"""Work for a provider as its master's agent: python master_agent.py MASTER PROVIDER TASK"""

import sys

from ogpu import Client
from ogpu.types import Environment

DEFAULT_AGENT = "0x306Dc3fF30254675B209D916475094401aCC4a1E"  # the network's scheduler

with Client() as client:
    master, provider, task = (
        client.master(sys.argv[1]),
        client.provider(sys.argv[2]),
        client.task(sys.argv[3]),
    )

    master.set_default_agent_disabled(True)
    print(f"The network's agent acts for it: {master.is_agent(DEFAULT_AGENT)}")

    provider.register(task.source(), Environment.CPU, role="agent")
    provider.attempt(task.address, task.payment(), role="agent")
    print(f"Attempts: {task.attempters()}")
