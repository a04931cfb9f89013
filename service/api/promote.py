"""POST /train-jobs/{id}/checkpoints/{step}/promote: a checkpoint becomes the live model."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import Field

from service.api.deps import Parts, PartsDep
from service.api.models import CanaryFailedBody, OutcomeBody, outcome_response
from service.api.train_jobs import JobId
from service.promotion.promoter import Demands
from service.strict import StrictModel

router = APIRouter(prefix="/train-jobs", tags=["train-jobs"])

Step = Annotated[int, Path(ge=1, le=100_000_000, description="of GET .../checkpoints")]


class PromoteBody(StrictModel):
    """How a checkpoint is promoted; everything has a default."""

    name: Annotated[
        str | None,
        Field(max_length=63, description="What the model is called; default: job and step."),
    ] = None
    questions: Annotated[
        int | None,
        Field(ge=0, le=10_000, description="Of dev; 0 asks none. VERISQL_PROMOTE_QUESTIONS."),
    ] = None
    drop: Annotated[
        float | None,
        Field(ge=0, le=1, description="How much lower accuracy may be. VERISQL_PROMOTE_DROP."),
    ] = None


@router.post(
    "/{job_id}/checkpoints/{step}/promote",
    response_model=OutcomeBody,
    responses={409: {"model": CanaryFailedBody, "description": "It failed, nothing changed."}},
)
async def promote_checkpoint(
    job_id: JobId, step: Step, parts: PartsDep, body: PromoteBody | None = None
) -> Response:
    """Load a checkpoint's adapter beside the live model, try it, and switch if it passes.

    Tried are, beside what every activation tries: the trainer's own log-probabilities against the
    server's, and a sample of the job's dev questions, on which it may not be worse than the live
    model by more than `drop`. Requests go on meanwhile. What fails is 409 `canary_failed` with the
    outcome beside the error, and the live model stays. `POST /models/roll-back` is the way back.
    """
    asked = body or PromoteBody()
    outcome = await parts.promoter.promote(job_id, step, asked.name, _demands(asked, parts))
    return outcome_response(outcome)


def _demands(asked: PromoteBody, parts: Parts) -> Demands:
    settings = parts.settings
    return Demands(
        settings.promote_questions if asked.questions is None else asked.questions,
        settings.promote_drop if asked.drop is None else asked.drop,
        settings.promote_timeout_s,
    )
