"""A whole job: publish a service and a task, wait for the answer, accept it, print the result."""

import time

from ogpu import Client
from ogpu.client import ImageEnvironments, SourceInfo, TaskInfo, TaskInput

with Client() as client:
    image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
    source = client.publish_source(
        SourceInfo("My service", "Repeats what it gets", "", image, 10**15, 0, 3600)
    )
    question = TaskInput("echo", {"text": "Hello, GPU"})
    task = client.publish_task(TaskInfo(source, question, int(time.time()) + 600, payment=10**16))
    response = client.wait_for_response(task)
    client.confirm_response(response.address)
    print(client.fetch_result(response))
