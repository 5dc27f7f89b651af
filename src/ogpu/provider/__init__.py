"""The provider's runtime: it watches for tasks, runs handlers in child processes, and answers."""

from ogpu.provider.container import ContainerRunner
from ogpu.provider.runner import Runner
from ogpu.provider.runtime import PROVIDER_POLICY, Provider
from ogpu.provider.workers import HandlerPool

__all__ = ["PROVIDER_POLICY", "ContainerRunner", "HandlerPool", "Provider", "Runner"]
