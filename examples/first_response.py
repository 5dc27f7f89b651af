"""Publish a service whose first response is final, and pay for one: nothing is left to confirm."""

import time

from ogpu import Client
from ogpu.client import DeliveryMethod, ImageEnvironments, SourceInfo, TaskInfo, TaskInput

image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
info = SourceInfo(
    "My service", "Repeats what it gets", "", image, 10**15, 0, 3600, DeliveryMethod.FIRST_RESPONSE
)

with Client() as client:
    source = client.publish_source(info)
    question = TaskInput("echo", {"text": "Hello"})
    task = client.publish_task(TaskInfo(source, question, int(time.time()) + 600, payment=10**16))
    response = client.wait_for_response(task)
    print(f"Status: {client.task(task).status().name}, confirmed: {response.confirmed}")
    print(client.fetch_result(response))
