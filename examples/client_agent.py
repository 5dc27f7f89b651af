"""Let an agent act for the client: python client_agent.py AGENT RESPONSE"""

import sys
import time

from ogpu import Client
from ogpu.client import TaskInfo, TaskInput
from ogpu.types import Environment, SourceParams

agent, response = sys.argv[1:]
metadata = {"name": "My service", "cpu": "https://example.org/docker-compose.yml", "nvidia": "", "amd": ""}

with Client() as client:
    client.terminal.set_agent(agent, True, role="client")
    me = client.get_nonce_info()["address"]

    link = client.content.put_json(metadata, "imageMetadata.json")
    source = client.nexus.publish_source(
        SourceParams(me, link, Environment.CPU, 10**15, 0, 3600), role="agent"
    )
    print(f"Source of {client.source(source).client()}: {source}")

    question = TaskInput("echo", {"text": "Hello"})
    task = client.publish_task(TaskInfo(source, question, int(time.time()) + 600, payment=10**16))
    client.task(task).cancel(role="agent")
    print(f"Task: {client.task(task).status().name}")

    client.response(response).confirm(role="agent")
    print(f"Response: {client.response(response).status().name}")
