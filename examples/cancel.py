"""Cancel a task that nobody has taken, and get its payment back: python cancel.py TASK"""

import sys

from ogpu import Client

with Client() as client:
    task = client.task(sys.argv[1])
    task.cancel()
    print(f"Status: {task.status().name}, held: {client.vault.frozen_payment(task.address)}")
