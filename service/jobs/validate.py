"""What is found out about a job's data before a machine is used: its golds, and leaks into dev.

The trainer looks again when it starts, since files may change while a job waits; what stands here
only spares the machine. The golds run in a worker of their own, so that /verify keeps its workers.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.audit.identity import hashes, side
from service.audit.overlap import describe, find_leaks
from service.audit.run import audit
from service.audit.subject import Audit, Options, Subject
from service.errors import TooLarge
from service.jobs.rundir import RunDir, RunError
from service.jobs.spec import RunRequest
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.questions import Question, read_questions

_UNKNOWN = ("not_reached", "not_run")
"""Findings that say nothing about the gold itself."""


@dataclass(frozen=True, slots=True)
class Validator:
    """What a job's data is looked at with."""

    registry: DatabaseRegistry
    limits: Limits
    """Of the worker: the service's own."""
    audit_s: float
    """Longest look at the golds, seconds; 0 leaves golds and leaks to the trainer."""

    async def look(self, run: RunDir) -> RunError | None:
        """Why the data cannot be trained on, None if nothing speaks against it.

        Errors are `dev_leaks_into_train` and `no_training_rows`, the trainer's own. Raises
        InvalidRequest for a faulty row, Unavailable where no worker can start.
        """
        if self.audit_s == 0:
            return None
        request = await asyncio.to_thread(run.request)
        train = await asyncio.to_thread(_train, request)
        async with Executor(workers=1, limits=self.limits) as executor:
            return await self._leak(executor, request, train) or await self._no_rows(
                executor, request, train, run
            )

    async def _leak(
        self, executor: Executor, request: RunRequest, train: Sequence[Question]
    ) -> RunError | None:
        if request.dev_data_path is None:
            return None
        dev = await asyncio.to_thread(read_questions, request.dev_data_path, "dev")
        sides = []
        for name, questions in (("train", train), ("dev", dev)):
            subject = Subject(name, questions, self.registry)
            sides.append(await side(executor, subject, await hashes(subject)))
        said = describe(await asyncio.to_thread(find_leaks, *sides))
        return (
            RunError(code="dev_leaks_into_train", message=said, param="dev_data") if said else None
        )

    async def _no_rows(
        self, executor: Executor, request: RunRequest, train: Sequence[Question], run: RunDir
    ) -> RunError | None:
        if not request.spec.needs_gold:
            return None
        options = Options(time_limit_s=self.audit_s)
        try:
            done = await audit(executor, Subject("train", train, self.registry), (), options)
        except TooLarge as error:  # Not even the databases could be read in time.
            await asyncio.to_thread(run.append_event, "warning", "audit", error.message)
            return None
        found = Counter(kind for kinds in done.why().values() for kind in kinds[:1])
        await asyncio.to_thread(run.append_event, "info", "audit", _told(done, found), **found)
        if len(done.why()) < len(train) or any(found[kind] for kind in _UNKNOWN):
            return None
        return RunError(
            code="no_training_rows",
            message=f"no question of train_data is fit to train on: {_counted(found)}; "
            "`verisql audit` shows each",
            param="train_data",
        )


def _train(request: RunRequest) -> list[Question]:
    return read_questions(request.train_data_path, need_gold=request.spec.needs_gold)


def _told(done: Audit, found: Counter[str]) -> str:
    total = len(done.subject.questions)
    fit = total - found.total()
    return f"{fit} of {total} questions are fit to train on" + (
        f"; left out: {_counted(found)}" if found else ""
    )


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in found.most_common())
