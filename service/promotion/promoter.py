"""Promote a checkpoint: register it, try it beside the live model, switch, tell of it."""

import asyncio
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from service.jobs.intake import Jobs
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.models.adapter_files import CANARY
from service.models.adapters import AdapterModel
from service.models.check import Check
from service.models.live import LiveModels
from service.models.outcome import Outcome
from service.promotion.checkpoint import JobCheckpoint, find_checkpoint
from service.promotion.dev_sample import DevSample
from service.text2sql.questions import Question

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Demands:
    """What a promotion asks of a checkpoint beside the trial of every activation."""

    questions: int = 40
    """Of dev; 0 asks none."""
    drop: float = 0.05
    """How much lower its share of right answers may be than the live model's."""
    timeout_s: float = 900.0
    """For dev."""


@dataclass(frozen=True, slots=True)
class DevTrial:
    """What comes after an adapter's trial: it must have had a trainer's record, and then dev."""

    sample: DevSample
    source: str
    questions: list[Question]
    demands: Demands

    async def judge(self, name: str, live: str, folder: Path) -> list[Check]:
        """Both models are loaded. What is no fault of the new one is raised, not a failed check."""
        if not (folder / CANARY).is_file():
            why = f"the checkpoint has no {CANARY}: whether the server computes it right is unknown"
            return [Check("trainer_logprob", False, None, None, why)]
        if not self.questions:
            return []
        limit = self.demands.timeout_s
        try:
            async with asyncio.timeout(limit):
                check = await self.sample.compare(name, live, self.questions, self.demands.drop)
        except TimeoutError:
            return [Check("dev_sample", False, None, None, f"not done within {limit:g} s")]
        return [replace(check, detail=f"{self.source}: {check.detail}")]


@dataclass(frozen=True, slots=True)
class Promoter:
    """Brings checkpoints of jobs into serving."""

    jobs: Jobs
    models: LiveModels
    sample: DevSample

    async def promote(self, job_id: str, step: int, name: str | None, demands: Demands) -> Outcome:
        """Make it the live model if it passes; an outcome that did not is no exception.

        May be repeated: what is live already is answered so. One that fails its trial is
        registered no longer, unless it was before; where no trial came about it stays. Raises
        UnknownJob, UnknownCheckpoint, UnsupportedValue, InvalidRequest, Conflict, what
        LiveModels.register and LiveModels.activate raise.
        """
        job = await self.jobs.get(job_id)
        found = await asyncio.to_thread(find_checkpoint, job, step)
        source, questions = await asyncio.to_thread(found.dev_questions, demands.questions)
        known = {status.name for status in self.models.all()}
        adapter = await self._registered(found, name or found.default_name)
        trial = DevTrial(self.sample, source, questions, demands)
        outcome = await self.models.activate(adapter.served_name, trial)
        await asyncio.to_thread(_tell, found.job, step, outcome)
        if not outcome.activated and adapter.name not in known:
            await self.models.forget(adapter.served_name)
        return outcome

    async def _registered(self, found: JobCheckpoint, name: str) -> AdapterModel:
        lineage = await asyncio.to_thread(found.lineage)
        parent = self._parent(found)
        return await self.models.register(found.folder, name, parent, lineage)

    def _parent(self, found: JobCheckpoint) -> str | None:
        """The model that the job is a fork of, where that was registered too."""
        wanted = found.job.spec.parent
        if wanted is None:
            return None
        known = (status.adapter for status in self.models.all())
        ours = (a for a in known if a and a.lineage.get("job_id") == wanted.job_id)
        return next((a.served_name for a in ours if a.lineage.get("step") == wanted.step), None)


def _tell(job: Job, step: int, outcome: Outcome) -> None:
    """In the run's own events; what fails here undoes nothing."""
    if outcome.activated:
        level, said = "info", f"step {step} is live as {outcome.live}"
    else:
        level, said = "warning", f"step {step} was not promoted: {outcome.reason}"
    _LOG.info("job %s: %s", job.id, said)
    try:
        RunDir(job.run_dir).append_event(level, "promotion", said, outcome=asdict(outcome))
    except OSError as error:
        _LOG.warning("job %s: its promotion cannot be noted: %s", job.id, error)
