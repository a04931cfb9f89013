"""Verdicts of a VeriSQL service over HTTP, held to what this process would say itself.

The request says all that a service's settings could decide otherwise, and an answer counts only
from the same version of the verifier on the same bytes of the database. A service that is away is
waited for, and a run that has waited long enough fails: what was not judged has no reward, not 0.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.client import Options, Result, ServiceError, VerifyClient
from service.text2sql.types import VerifyReport, VerifyTask
from trainer.altered import settled
from trainer.errors import VerifierAway, VerifierDiffers, VerifierRefused
from trainer.rewards import reward_task
from trainer.verifier_thread import VerifierThread

_TIRELESS = 1_000_000
"""Tries of the client: time alone ends them."""
_LONGEST_PAUSE_S = 5.0
_PASSING = frozenset({"deadline_exceeded", "no_free_worker", "unavailable"})
_CONSTANT = "SELECT 1"
_LONGEST_WORDS = 500
_PARAM = "verify_url"
_REPORT = TypeAdapter(VerifyReport)
_LOG = logging.getLogger("trainer")


class RemoteVerdicts:
    """Asks the service at `url`, from `with` to the end of it.

    `verifier` tells which version and which databases the answers must be of.
    """

    def __init__(
        self, url: str, key: str | None, verifier: VerifierThread, *, patience_s: float
    ) -> None:
        """`patience_s` is the longest time without any verdict, in seconds."""
        options = Options(deadline_s=patience_s, tries=_TIRELESS, longest_pause_s=_LONGEST_PAUSE_S)
        self._client = VerifyClient(url, key, options)
        self._url = url
        self._patience_s = patience_s
        self._verifier = verifier
        self._version = verifier.version

    def __enter__(self) -> "RemoteVerdicts":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def version(self) -> str:
        """What the service said last; before it was asked, what it must say."""
        return self._version

    def check(self, db_ids: Iterable[str], copies: int) -> None:
        """Let it judge once on each database that is known here, with so many altered copies.

        It builds the copies now, so that none is waited for in a step. Raises as `verify`.
        """
        known = sorted(set(db_ids) & set(self._verifier.registry.ids()))
        self.verify([reward_task(n, [_CONSTANT], [_CONSTANT], copies=copies) for n in known])

    def verify(self, tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        """Reports in order; with `robust` a match that was not tried on all copies is masked.

        Raises VerifierAway where none comes for `patience_s`, VerifierRefused, VerifierDiffers,
        and DatabaseUnusable where the file here is at fault.
        """
        found: dict[int, VerifyReport] = {}
        asked, tried = dict(enumerate(tasks)), set[int]()
        heard = time.monotonic()
        while asked:
            answers = self._ask(asked)
            failed = {n: answer["error"] for n, answer in answers.items() if "error" in answer}
            judged = {n: self._report(tasks[n], answers[n]) for n in answers.keys() - failed.keys()}
            asked = {n: self._again(asked[n], error, n in tried) for n, error in failed.items()}
            tried |= failed.keys()
            found |= judged
            if judged:
                heard = time.monotonic()
            elif failed:
                self._check_patience(list(failed.values()), heard)
        return [found[n] for n in range(len(tasks))]

    def _ask(self, tasks: Mapping[int, VerifyTask]) -> dict[int, Result]:
        """One call of the client, which is as patient as the run."""
        try:
            results = self._client.verify_batch([self._item(task) for task in tasks.values()])
        except ServiceError as error:
            raise self._refused(error.code, str(error)) from error
        return dict(zip(tasks, results, strict=True))

    def _item(self, task: VerifyTask) -> dict[str, Any]:
        """What POST /verify takes; nothing is left to the service's own settings that can be said.

        These are the limits of this run, which a service can only lower, and no rejected flags.
        """
        robust = task.robust
        return {
            "db_id": task.db_id,
            "gold_sql": list(task.gold_sql),
            "predictions": list(task.predictions),
            "extract": task.extract,
            "metrics": list(task.metrics),
            "reward": task.reward,
            "robust": {"instances": robust.instances, "seed": robust.seed} if robust else None,
            "timeout_s": task.timeout_s or self._verifier.executor.limits.query_timeout_s,
            "diff_rows": task.diff_rows,
            "reject_flags": sorted(task.reject_flags or ()),
        }

    def _report(self, task: VerifyTask, answer: Result) -> VerifyReport:
        self._check_same(task.db_id, answer)
        try:
            report = _REPORT.validate_python(answer)
        except ValidationError as error:
            raise self._refused("bad_answer", str(error)) from error
        if task.robust is None:
            return report
        return replace(report, verdicts=[settled(verdict) for verdict in report.verdicts])

    def _check_same(self, db_id: str, answer: Result) -> None:
        ours, version = self._verifier.version, answer.get("verifier_version")
        if version != ours:
            raise VerifierDiffers(
                f"{self._url} judges with the verifier {version}, this run with {ours}: install "
                "the same VeriSQL and SQLite for both, or leave out verify_url",
                param=_PARAM,
            )
        here, there = self._verifier.registry.sha256(db_id), answer.get("database_sha256")
        if there != here:
            raise VerifierDiffers(
                f"the database {db_id!r} of {self._url} has the SHA-256 {there}, the one of this "
                f"run {here}: give both the same file",
                param=_PARAM,
            )
        self._version = ours

    def _again(self, task: VerifyTask, error: dict[str, Any], tried: bool) -> VerifyTask:
        """What to ask next where a task has failed; raises VerifierRefused where nothing helps."""
        code, words = error["code"], error["message"]
        lost = code == "database_unusable" or (tried and code == "unavailable")
        if task.robust and lost:
            # Copies that are not to be had, as in process: matches are masked, the run goes on.
            _LOG.warning("%s: %s", self._url, words[:_LONGEST_WORDS])
            return replace(task, robust=None)
        if code not in _PASSING:
            raise self._refused(code, words)
        return task

    def _check_patience(self, errors: Sequence[dict[str, Any]], heard: float) -> None:
        """Raise VerifierAway where the time is over since a verdict was `heard` (monotonic, s)."""
        over = [error for error in errors if error["code"] == "deadline_exceeded"]
        if over or time.monotonic() - heard >= self._patience_s:
            words = str((over or errors)[0]["message"])[:_LONGEST_WORDS]
            raise VerifierAway(
                f"{self._url} gave no verdict for {self._patience_s:g} s ({words}); once it "
                "answers, resume this run: it goes on from its last checkpoint",
                param=_PARAM,
            )

    def _refused(self, code: str, words: str) -> VerifierRefused:
        message = f"{self._url} will not judge: {code}: {words[:_LONGEST_WORDS]}"
        return VerifierRefused(message, param=_PARAM)
