"""The `logger` of a service: the usual levels and three for the ends of a task."""

from __future__ import annotations

import logging

SUCCESS = 25
TIMEOUT = 35
FAIL = 45

FORMAT = "[{asctime}] {levelname:<8} {message}"


class ServiceLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that prints to standard error from its first line on, unless the program set logging up."""

    def isEnabledFor(self, level: int) -> bool:
        self._print_by_default()
        return super().isEnabledFor(level)

    def task_success(self, message: object, *args: object) -> None:
        """Log that a task gave its result."""
        self.log(SUCCESS, message, *args, stacklevel=2)

    def task_fail(self, message: object, *args: object, exc_info: bool = False) -> None:
        """Log that a task failed."""
        self.log(FAIL, message, *args, exc_info=exc_info, stacklevel=2)

    def task_timeout(self, message: object, *args: object) -> None:
        """Log that a task took too long."""
        self.log(TIMEOUT, message, *args, stacklevel=2)

    def _print_by_default(self) -> None:
        if self.logger.hasHandlers():
            return
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S", style="{"))
        self.logger.addHandler(handler)
        if self.logger.level == logging.NOTSET:
            self.logger.setLevel(logging.INFO)


logging.addLevelName(SUCCESS, "SUCCESS")
logging.addLevelName(TIMEOUT, "TIMEOUT")
logging.addLevelName(FAIL, "FAIL")

logger = ServiceLogger(logging.getLogger("ogpu.service"), {})
