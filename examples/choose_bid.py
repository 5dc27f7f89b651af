"""Confirm the cheapest of a task's responses: python choose_bid.py TASK"""

import sys

from ogpu import Client

with Client() as client:
    task = client.task(sys.argv[1])
    bids = task.responses()
    for bid in bids:
        print(f"{bid.provider} asks {bid.payment}: {bid.data}")

    cheapest = min(bids, key=lambda bid: bid.payment)
    client.response(cheapest.address).confirm()
    print(f"Winner: {task.winning_provider()}")
