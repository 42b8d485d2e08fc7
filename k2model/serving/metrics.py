"""What the server counts, in Prometheus' text format at /metrics."""

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from k2model.inference.generate import Engine

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Observation:
    """One request as it goes."""

    def __init__(self, metrics: "Metrics", endpoint: str) -> None:
        self._metrics, self._endpoint = metrics, endpoint
        self._started = time.monotonic()
        self._begun = False

    def piece(self) -> None:
        """A piece of a stream is sent; the first counts."""
        if not self._begun:
            self._begun = True
            self._metrics.first_piece.labels(self._endpoint).observe(time.monotonic() - self._started)

    def end(self, status: int, usage: Mapping[str, Any] | None = None) -> None:
        """The request is over."""
        self._metrics.requests.labels(self._endpoint, str(status)).inc()
        self._metrics.seconds.labels(self._endpoint).observe(time.monotonic() - self._started)
        if usage is not None:
            self._metrics.prompt_tokens.inc(usage["prompt_tokens"])
            self._metrics.cached_tokens.inc(usage["prompt_tokens_details"]["cached_tokens"])
            self._metrics.generated_tokens.inc(usage["completion_tokens"])


class Metrics:
    """Counters of one server; the engine's state is read when somebody asks."""

    def __init__(self, engine: Engine) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("k2_requests", "Requests by how they ended.", ["endpoint", "status"], registry=registry)
        self.seconds = Histogram(
            "k2_request_seconds",
            "From a request to the end of its answer.",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self.first_piece = Histogram(
            "k2_first_piece_seconds",
            "From a request to the first piece of its stream.",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self.prompt_tokens = Counter("k2_prompt_tokens", "Tokens of prompts that were answered.", registry=registry)
        self.cached_tokens = Counter("k2_cached_tokens", "Of these, tokens that the cache had.", registry=registry)
        self.generated_tokens = Counter("k2_generated_tokens", "Tokens of answers.", registry=registry)
        active = Gauge("k2_active_requests", "Requests that the engine decodes.", registry=registry)
        active.set_function(lambda: len(engine.active))
        waiting = Gauge("k2_waiting_requests", "Requests that wait for a slot.", registry=registry)
        waiting.set_function(lambda: len(engine.waiting))

    def begin(self, endpoint: str) -> Observation:
        return Observation(self, endpoint)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)
