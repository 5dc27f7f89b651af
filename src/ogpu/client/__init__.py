"""The functional API: plain functions on one default client.

```python
from ogpu.client import TaskInfo, TaskInput, publish_task
```
"""

from ogpu.client.chain_config import ChainConfig, ChainId
from ogpu.client.nonce_utils import clear_all_nonce_caches, fix_nonce, get_nonce_info, reset_nonce_cache
from ogpu.client.responses import confirm_response, get_confirmed_response, get_task_responses
from ogpu.client.source import publish_source
from ogpu.client.task import publish_task, publish_tasks
from ogpu.client.types import (
    ConfirmedResponse,
    DeliveryMethod,
    ImageEnvironments,
    Progress,
    Response,
    SourceInfo,
    TaskInfo,
    TaskInput,
)

__all__ = [
    "ChainConfig",
    "ChainId",
    "ConfirmedResponse",
    "DeliveryMethod",
    "ImageEnvironments",
    "Progress",
    "Response",
    "SourceInfo",
    "TaskInfo",
    "TaskInput",
    "clear_all_nonce_caches",
    "confirm_response",
    "fix_nonce",
    "get_confirmed_response",
    "get_nonce_info",
    "get_task_responses",
    "publish_source",
    "publish_task",
    "publish_tasks",
    "reset_nonce_cache",
]
