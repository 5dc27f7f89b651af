"""What a server counts of itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The figures of one server; they hang on it, so that several in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ogpu_http_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "ogpu_http_request_seconds",
            "Seconds until an answer was sent; streams are not counted.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self.listeners = self._gauge("ogpu_live_listeners", "Streams of live changes that are open.")
        self.block = self._gauge("ogpu_index_block", "The last block in the index.")
        self.head = self._gauge("ogpu_chain_head", "The newest block that is known.")
        self.behind = self._gauge("ogpu_index_behind_blocks", "Blocks by which the index is behind.")
        self.changes = self._gauge("ogpu_index_changes", "Grows with everything written to the index.")
        self.ready = self._gauge("ogpu_ready", "1 when /readyz says so.")
        self.indexer_starts = self._gauge("ogpu_indexer_starts", "How often this server started its indexer.")
        self.addresses = self._gauge("ogpu_rate_limited_addresses", "Client addresses that are remembered.")

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, registry=self._registry)

    def answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count an answer; `route` is a path's pattern, so that there are few."""
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
