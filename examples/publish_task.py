"""Publish a task of a Source, paid from the Vault balance: python publish_task.py SOURCE"""

import sys
import time

from web3 import Web3

from ogpu.client import TaskInfo, TaskInput, publish_task

task_info = TaskInfo(
    source=sys.argv[1],
    config=TaskInput(
        function_name="analyze_sentiment",
        data={"text": "I love this product!"},
    ),
    expiryTime=int(time.time()) + 3600,
    payment=Web3.to_wei(0.01, "ether"),
)

task_address = publish_task(task_info)
print(f"Task published at: {task_address}")
