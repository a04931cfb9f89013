"""Every Prometheus metric, once. GET /metrics shows them."""

from collections import Counter as Counts
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.generation.task import GenerateAnswer
from service.jobs.numbers import JobNumbers
from service.jobs.state import TERMINAL, JobState
from service.text2sql.types import VerifyReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OF_A_JOB = {
    "progress": "Share of the steps that are done, 0..1.",
    "eta_seconds": "Seconds to go, as the trainer expects.",
    "gpu_hours": "Hours of GPUs that the job has held.",
    "step": "The last optimiser step.",
    "reward": "Mean reward of the last step.",
    "useful_groups": "Share of the last step's groups whose rewards differ.",
    "loss": "Loss of the last step.",
}


class JobGauges:
    """Gauges of the jobs that are under way; a job that is over leaves none behind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._status = Gauge(
            "verisql_job_status", "1 for the state that the job is in.", ["job_id", "status"],
            registry=registry,
        )  # fmt: skip
        self._values = {
            name: Gauge(f"verisql_job_{name}", text, ["job_id"], registry=registry)
            for name, text in _OF_A_JOB.items()
        }

    def show(self, jobs: Sequence[JobNumbers]) -> None:
        """These jobs and no others."""
        for gauge in (self._status, *self._values.values()):
            gauge.clear()
        for job in jobs:
            self._status.labels(job.job_id, job.status).set(1)
            for name, value in job.values.items():
                self._values[name].labels(job.job_id).set(value)


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
        self.jobs = JobGauges(self._registry)
        self._jobs_over = Counter(
            "verisql_jobs_finished", "Jobs by the state they ended in.", ["status"],
            registry=self._registry,
        )  # fmt: skip
        for status in sorted(TERMINAL):
            self._jobs_over.labels(status)  # shown as 0 from the start
        self._webhooks = Counter(
            "verisql_webhook_tries", "Tries to deliver a webhook, by how they ended.", ["result"],
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

    def count_job_over(self, status: JobState) -> None:
        """Count a job that has ended, by its last state."""
        self._jobs_over.labels(status).inc()

    def count_webhook(self, result: str) -> None:
        """Count a try: `delivered`, `failed` (it is tried again) or `given_up`."""
        self._webhooks.labels(result).inc()

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
