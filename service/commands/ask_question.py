"""One question of an evaluation: ask the service, let it judge what came back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.client import AsyncVerifyClient, PatientClient, Result, ServiceError
from service.text2sql.evaluation import Outcome, Provenance, Sample
from service.text2sql.questions import Question
from service.text2sql.types import MASKED

_TRACED = ("completions", "messages")
_TOLD = (
    "status", "verified", "confidence", "clarification", "repairs", "left_out", "values",
    "warnings", "request_id",
)  # fmt: skip
_REFUSED = "too_large"
"""The question with its schema is over the model's context: no answer, and so a wrong one."""
_UNFIT = frozenset({"too_large", "database_unusable"})
"""What /verify says of a gold or database that cannot be judged at all."""


class Asker:
    """Of one service, always with the same options."""

    def __init__(
        self,
        client: PatientClient,
        verifier: AsyncVerifyClient,
        metrics: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        """`options` are fields of POST /generate; those not given are left to the service."""
        self._client = client
        self._verifier = verifier
        self._metrics = list(metrics)
        self._options = dict(options)
        # Every prompt is kept, what people confirmed earlier does not answer for the model, and
        # nobody rates these answers: in the store they would take the place of people's.
        self._besides = {
            name: value
            for name, value in {"debug": True, "verified": False, "remember": False}.items()
            if name not in options
        }

    async def ask(self, place: int, question: Question) -> Outcome:
        """Raises ServiceError where that says nothing about the model, naming the question."""
        try:
            answer = await self._answer(question)
            return await self._judged(place, question, answer)
        except ServiceError as error:
            error.args = (f"question {question.question_id}: {error}",)
            raise

    async def _answer(self, question: Question) -> Result:
        """The answer; where the question is refused, one without SQL whose status says why."""
        try:
            return await self._generate(question)
        except ServiceError as error:
            if error.code == _REFUSED and error.param not in self._options:
                return {"status": error.code, "sql": None, "message": str(error)}
            if error.code == "database_unusable":
                return {"status": error.code, "sql": None, "message": str(error), "masked": True}
            raise

    async def _generate(self, question: Question) -> Result:
        body = {
            "question": question.question,
            "db_id": question.db_id,
            "evidence": question.evidence,
            **self._options,
        }
        while True:
            sent = dict(self._besides)
            try:
                return await self._client.post("/generate", sent | body)
            except ServiceError as error:
                refused = _refused(error, sent)
                if refused is None:
                    raise
                self._besides.pop(refused, None)  # the service does not have it, or forbids it

    async def _judged(self, place: int, question: Question, answer: Result) -> Outcome:
        candidates = answer.get("candidates", [])
        sqls = [answer["sql"], *(candidate["sql"] for candidate in candidates)]
        texts = list(dict.fromkeys(sql or "" for sql in sqls))
        try:
            report = await self._verifier.verify(
                db_id=question.db_id,
                gold_sql=question.gold_sql,
                predictions=texts,
                metrics=self._metrics,
            )
        except ServiceError as error:
            if error.code not in _UNFIT:
                raise
            return _unfit(place, question, answer, error)
        verdicts = dict(zip(texts, report["verdicts"], strict=True))
        outcome = _outcome(place, question, answer, report, verdicts)
        return replace(outcome, voted=len(candidates) > 1 and self._options.get("vote", True))


def _refused(error: ServiceError, names: Iterable[str]) -> str | None:
    """The field of ours that the service does not take."""
    if error.code != "invalid_request":
        return None
    told = str(error)
    return next((n for n in names if error.param == n or f"unknown field '{n}'" in told), None)


def _outcome(
    place: int, question: Question, answer: Result, report: Result, verdicts: Mapping[str, Result]
) -> Outcome:
    verdict = verdicts[answer["sql"] or ""]
    candidates = answer.get("candidates", [])
    masked = verdict["masked"] or answer.get("masked", False)
    told = answer["status"] if answer["status"] != "ok" else verdict["status"]
    return Outcome(
        status=verdict["status"] if verdict["masked"] else told,
        metrics=verdict["metrics"],
        masked=masked,
        retryable=verdict["retryable"],
        message=verdict["message"] if verdict["masked"] else _message(answer, verdict),
        samples=tuple(_sample(candidate, verdicts) for candidate in candidates),
        **_of_answer(place, question, answer, report),
    )


def _unfit(place: int, question: Question, answer: Result, error: ServiceError) -> Outcome:
    return Outcome(
        status=error.code,
        metrics={},
        masked=True,
        message=str(error),
        **_of_answer(place, question, answer, {}),
    )


def _of_answer(place: int, question: Question, answer: Result, report: Result) -> dict[str, Any]:
    usage, debug = answer.get("usage", {}), answer.get("debug") or {}
    return {
        "place": place,
        "question": question,
        "sql": answer["sql"],
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "latency_ms": answer.get("latency_ms", 0.0),
        "provenance": Provenance(
            model=answer.get("model", {}),
            template=answer.get("template", ""),
            prompt_sha256=answer.get("prompt_sha256", ""),
            database_sha256=report.get("database_sha256", ""),
            verifier_version=report.get("verifier_version", ""),
        ),
        "trace": {name: debug[name] for name in _TRACED if name in debug}
        | {name: answer[name] for name in _TOLD if name in answer},
    }


def _message(answer: Result, verdict: Result) -> str | None:
    found: str | None = answer.get("message") or answer.get("clarification") or verdict["message"]
    return found


def _sample(candidate: Result, verdicts: Mapping[str, Result]) -> Sample:
    verdict = verdicts[candidate["sql"] or ""]
    return Sample(
        sql=candidate["sql"],
        status=verdict["status"],
        metrics=verdict["metrics"],
        valid=candidate["valid"],
        error=candidate["error"],
        votes=candidate["votes"] if verdict["status"] not in MASKED else 0,
        mean_logprob=candidate.get("mean_logprob"),
        repaired=int(candidate.get("repaired", 0)),
    )
