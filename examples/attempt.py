"""Take a task on as a provider, by hand: python attempt.py PROVIDER TASK"""

import sys

from ogpu import Client
from ogpu.types import TaskStatus

with Client() as client:
    provider, task = client.provider(sys.argv[1]), client.task(sys.argv[2])
    provider.attempt(task.address, task.payment())
    if task.status() is TaskStatus.EXPIRED:
        print("Too late: the task is EXPIRED now, and its client has the payment back")
    else:
        print(f"Attempts: {task.attempt_count()}")
