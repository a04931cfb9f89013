"""Settings of training jobs: part of service/settings.py, which reads and documents them."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, model_validator

from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.receivers import Receivers, read_receivers
from service.jobs.verdict_url import checked_key, service_urls


class JobSettings(BaseModel):
    """Where jobs run, how they are looked after, and who is told of them."""

    ray_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
            description="Dashboard of the Ray cluster for jobs with `launcher: ray`, e.g. "
            "`http://ray-head:8265`.",
        ),
    ] = None
    ray_token: Annotated[
        SecretStr | None, Field(description="The cluster's token (`RAY_AUTH_MODE=token`).")
    ] = None
    ray_python: Annotated[
        str,
        Field(min_length=1, description="Python of the cluster's nodes, with VeriSQL installed."),
    ] = "python"
    max_running_jobs: Annotated[
        int, Field(ge=1, le=1000, description="Training jobs that run at once; others queue.")
    ] = 1
    job_poll_s: Annotated[
        float, Field(gt=0, le=60, description="Pause between two looks at the jobs, seconds.")
    ] = 0.5
    cancel_grace_s: Annotated[
        float, Field(ge=0, le=3600, description="From SIGTERM to SIGKILL of a trainer, seconds.")
    ] = 20.0
    retry_pause_s: Annotated[
        float, Field(ge=0, le=600, description="Before a job's first retry, then doubled, seconds.")
    ] = 10.0
    job_audit_s: Annotated[
        float,
        Field(ge=0, le=86_400, description="Longest look at a new job's golds, seconds; 0: none."),
    ] = 300.0
    promote_questions: Annotated[
        int, Field(ge=0, le=10_000, description="Dev questions of a promotion; 0 asks none.")
    ] = 40
    promote_drop: Annotated[
        float, Field(ge=0, le=1, description="How much lower than the live model's accuracy.")
    ] = 0.05
    promote_timeout_s: Annotated[
        float, Field(gt=0, le=86_400, description="Longest look at dev in a promotion, seconds.")
    ] = 900.0
    kubernetes: KubernetesOptions = KubernetesOptions()
    webhook_urls: Annotated[
        str, Field(description="Addresses told of each state of a job, comma separated.")
    ] = ""
    webhook_secret: Annotated[
        str, Field(description="Signs webhooks: `whsec_` and Base64; several with commas.")
    ] = ""
    verify_urls: Annotated[
        str, Field(description="Services that a job may name as `verify_url`, comma separated.")
    ] = ""
    verify_key: Annotated[
        SecretStr | None, Field(description="Key that trainers send to their `verify_url`.")
    ] = None

    @model_validator(mode="after")
    def _jobs_consistent(self) -> "JobSettings":
        _check_ray(self.ray_url, self.ray_token)
        checked_key(self.verify_key.get_secret_value() if self.verify_key else None)
        _ = self.webhooks, self.verify_url_list
        return self

    @property
    def verify_url_list(self) -> tuple[str, ...]:
        """The addresses of VERISQL_VERIFY_URLS as a spec has them; raises ValueError."""
        return service_urls(self.verify_urls)

    @property
    def webhooks(self) -> Receivers | None:
        """Who is told of jobs, None if nobody; raises ValueError."""
        return read_receivers(self.webhook_urls, self.webhook_secret)


def _check_ray(url: str | None, token: SecretStr | None) -> None:
    if token is None:
        return
    if url is None:
        raise ValueError(
            "VERISQL_RAY_TOKEN is set and VERISQL_RAY_URL is not: set it to the address of the "
            "cluster's dashboard, e.g. http://ray-head:8265"
        )
    said = token.get_secret_value()
    if not (said.isascii() and said.isprintable() and said.strip()):
        raise ValueError("VERISQL_RAY_TOKEN is empty or has characters that no HTTP header takes")
