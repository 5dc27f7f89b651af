"""List the responses of a task: python list_responses.py TASK"""

import sys

from ogpu.client import get_task_responses

responses = get_task_responses(sys.argv[1])

print(f"{len(responses)} responses")
for response in responses:
    print(f"Response: {response.address}")
    print(f"Provider: {response.provider}")
    print(f"Status: {response.status}")
    print(f"Data: {response.data}")
