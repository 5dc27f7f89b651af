"""Take the payment of an expired task back: python refund.py TASK"""

import sys

from ogpu import Client

with Client() as client:
    task = client.task(sys.argv[1])
    client.vault.force_release_payment(task.address, role="client")
    print(f"Status: {task.status().name}, held: {client.vault.frozen_payment(task.address)}")
