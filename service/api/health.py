"""GET /healthz, /readyz, /metrics: alive, able to serve, and how it has gone so far."""

import logging

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from service import __version__
from service.api.deps import Parts, PartsDep
from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.numbers import MOST, JobNumbers, numbers_under_way
from service.jobs.state import JobState

router = APIRouter(tags=["health"])
_LOG = logging.getLogger(__name__)


class Health(BaseModel):
    """The process answers."""

    status: str
    version: str


class Check(BaseModel):
    """One part of the service."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Every part by name; ready when all are ok."""

    ready: bool
    checks: dict[str, Check]


@router.get("/healthz")
async def healthz() -> Health:
    """200 while the process lives; asks nothing of its parts."""
    return Health(status="ok", version=__version__)


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(parts: PartsDep, response: Response) -> Readiness:
    """200 when databases, workers, model and job store are able to serve, else 503."""
    checks = {
        "databases": _databases(parts),
        "workers": _workers(parts),
        "model": _model(parts),
        "jobs": _jobs(parts),
    }
    ready = all(check.ok for check in checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


@router.get("/metrics")
async def metrics(parts: PartsDep) -> Response:
    """Prometheus' text format; without gauges of jobs while their store does not answer."""
    parts.metrics.jobs.show(await _job_numbers(parts))
    return Response(parts.metrics.exposition(), media_type="text/plain; version=0.0.4")


async def _job_numbers(parts: Parts) -> list[JobNumbers]:
    async def page(status: JobState) -> list[Job]:
        return (await parts.jobs.page(limit=MOST, status=status))[0]

    try:
        return await numbers_under_way(page)
    except VeriSQLError as error:
        _LOG.warning("no gauges of jobs: %s", error)
        return []


def _databases(parts: Parts) -> Check:
    sizes = parts.registry.sizes()
    missing = [db_id for db_id, size in sizes.items() if size is None]
    if missing:
        return Check(ok=False, detail=f"file missing: {', '.join(missing[:10])}")
    return Check(ok=bool(sizes), detail=f"{len(sizes)} registered")


def _workers(parts: Parts) -> Check:
    alive = len(parts.executor.pids())
    return Check(ok=alive > 0, detail=f"{alive} alive, {parts.executor.queued} tasks waiting")


def _model(parts: Parts) -> Check:
    state, problem = parts.engine.state, parts.models.problem
    detail = f"{state.status}: {state.detail}" + (f"; {problem}" if problem else "")
    return Check(ok=state.status in ("ready", "off"), detail=detail)


def _jobs(parts: Parts) -> Check:
    problem = parts.supervisor.problem
    return Check(ok=problem is None, detail=problem or "store open, supervisor running")
