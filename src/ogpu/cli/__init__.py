"""The command line: one file a group of commands."""

from __future__ import annotations

EXIT_INTERRUPTED = 130  # 128 + SIGINT

__all__ = ["main"]


def main() -> int:
    """Run the command `ogpu`; returns its exit code."""
    try:
        from ogpu.cli.main import run  # here, so that Ctrl+C during the imports is no traceback either

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
