"""What handlers are given: the parts of the running service."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from service.feedback.loop import FeedbackLoop
from service.generation.generator import Generator
from service.jobs.intake import Jobs
from service.jobs.supervisor import Supervisor
from service.jobs.watching import Watching
from service.metrics import Metrics
from service.models.live import LiveModels
from service.models.live_engine import LiveEngine
from service.promotion.promoter import Promoter
from service.sandbox.executor import Executor
from service.settings import Settings
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.schema import SchemaCache
from service.text2sql.verifier import Verifier


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that app.py has put together."""

    settings: Settings
    metrics: Metrics
    registry: DatabaseRegistry
    executor: Executor
    schemas: SchemaCache
    verifier: Verifier
    engine: LiveEngine
    models: LiveModels
    generator: Generator
    jobs: Jobs
    promoter: Promoter
    supervisor: Supervisor
    watching: Watching
    feedback: FeedbackLoop


def get_parts(request: Request) -> Parts:
    """The parts of the app that serves this request."""
    return cast(Parts, request.app.state.parts)


PartsDep = Annotated[Parts, Depends(get_parts)]
