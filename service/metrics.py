"""Every Prometheus metric, once. GET /metrics shows them."""

from collections import Counter as Counts
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.generation.task import GenerateAnswer
from service.text2sql.types import VerifyReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """One set for each app, so that two apps in one process do not share counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "verisql_requests",
            "Requests answered.",
            ["method", "path", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "verisql_request_seconds",
            "Seconds from the request's first byte to the answer's last.",
            ["method", "path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.verdicts = Counter(
            "verisql_verdicts", "Predictions judged.", ["status"], registry=self._registry
        )
        self.generations = Counter(
            "verisql_generations", "Questions answered.", ["status"], registry=self._registry
        )
        self.tokens = Counter(
            "verisql_tokens", "Tokens read and written by the model.", ["kind"],
            registry=self._registry,
        )  # fmt: skip

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def count_verdicts(self, report: VerifyReport) -> None:
        """Count a report's verdicts by status."""
        for status, count in Counts(verdict.status for verdict in report.verdicts).items():
            self.verdicts.labels(status).inc(count)

    def count_generation(self, answer: GenerateAnswer) -> None:
        """Count an answer by status, and its tokens."""
        self.generations.labels(answer.status).inc()
        self.tokens.labels("prompt").inc(answer.usage.prompt_tokens)
        self.tokens.labels("completion").inc(answer.usage.completion_tokens)

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
