"""POST /verify: is this SQL right, and what reward does it earn?"""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, field_validator

from service.api.deps import PartsDep
from service.api.hangup import while_connected
from service.errors import TooLarge
from service.settings import Settings
from service.strict import StrictModel
from service.text2sql.rewards import check_reward
from service.text2sql.types import Extract, Flag, Metric, Robust, VerifyReport, VerifyTask

router = APIRouter(tags=["verify"])

_MAX_GOLDS = 16


class RobustBody(StrictModel):
    """Altered copies of the database on which a match must hold."""

    instances: Annotated[int, Field(ge=1, le=64, description="How many.")] = 8
    seed: Annotated[int, Field(ge=0, lt=2**31, description="That they are made from.")] = 0


class VerifyBody(StrictModel):
    """One gold, or several accepted ones, against any number of predictions."""

    db_id: Annotated[str, Field(min_length=1, max_length=500)]
    gold_sql: str | list[str]
    predictions: Annotated[list[str], Field(min_length=1)]
    extract: Extract = "none"
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=8)] = ["bird_ex"]
    reward: Annotated[
        str | dict[str, Any],
        Field(description="A preset's name, or a weight for each component."),
    ] = "execution"
    timeout_s: Annotated[float | None, Field(gt=0, le=3600)] = None
    robust: Annotated[
        RobustBody | None, Field(description="A match must hold on altered copies too.")
    ] = None
    diff_rows: Annotated[
        int, Field(ge=0, le=100, description="Example rows in a diff; 0 leaves it out.")
    ] = 3
    reject_flags: Annotated[
        list[Flag] | None,
        Field(description="Flags that turn a match into reward 0; default VERISQL_REJECT_FLAGS."),
    ] = None

    @field_validator("gold_sql", mode="before")
    @classmethod
    def _some_sql(cls, value: Any) -> Any:
        golds = value if isinstance(value, list) else [value]
        if not all(isinstance(gold, str) and gold.strip() for gold in golds):
            raise ValueError("must be SQL that is not empty, or a list of such")
        if not 1 <= len(golds) <= _MAX_GOLDS:
            raise ValueError(f"must be 1 to {_MAX_GOLDS} statements, are {len(golds)}")
        return value

    @field_validator("metrics")
    @classmethod
    def _once_each(cls, metrics: list[Metric]) -> list[Metric]:
        if len(set(metrics)) < len(metrics):
            raise ValueError("each metric may be named once")
        return metrics

    def task(self, settings: Settings) -> VerifyTask:
        """The verifier's input; raises TooLarge over the server's number of predictions."""
        if len(self.predictions) > settings.max_predictions:
            raise TooLarge(
                f"{len(self.predictions)} predictions; this server takes "
                f"{settings.max_predictions} in one request (VERISQL_MAX_PREDICTIONS)",
                param="predictions",
            )
        check_reward(self.reward, self.metrics)
        golds = [self.gold_sql] if isinstance(self.gold_sql, str) else self.gold_sql
        return VerifyTask(
            db_id=self.db_id,
            gold_sql=tuple(golds),
            predictions=tuple(self.predictions),
            extract=self.extract,
            metrics=tuple(self.metrics),
            reward=self.reward,
            timeout_s=self.timeout_s,
            robust=Robust(self.robust.instances, self.robust.seed) if self.robust else None,
            diff_rows=self.diff_rows,
            reject_flags=None if self.reject_flags is None else frozenset(self.reject_flags),
        )


@router.post("/verify", response_model=VerifyReport)
async def verify(body: VerifyBody, parts: PartsDep, request: Request) -> Response:
    """Run gold and predictions on the database and compare what they return.

    A wrong, unsafe or endless prediction is a 200 with a low reward. Where the gold or this service
    is at fault the verdict is masked: `reward` is null, and the caller leaves the sample out.
    """
    work = parts.verifier.verify(body.task(parts.settings))
    report = await while_connected(request, work)
    parts.metrics.count_verdicts(report)
    return Response(orjson.dumps(report), media_type="application/json")
