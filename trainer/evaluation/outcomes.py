"""From a completion and its verdict to an outcome; pure."""

from dataclasses import asdict
from typing import Any

from service.errors import VeriSQLError
from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.outcome import Outcome, Provenance, Sample
from service.text2sql.prompt import Prompt
from service.text2sql.types import Verdict, VerifyReport
from trainer.evaluation.prompts import Built
from trainer.evaluation.subject import Subject
from trainer.sampling import Written


def answered(
    placed: Placed,
    built: Built,
    written: Written,
    report: VerifyReport,
    subject: Subject,
    latency_ms: float,
) -> Outcome:
    """Of a question that the model answered; the report is on its completion alone."""
    place, question = placed
    [verdict] = report.verdicts
    return Outcome(
        place=place,
        question=question,
        sql=verdict.sql,
        **_of_verdict(verdict),
        samples=(_sample(verdict, written),),
        prompt_tokens=subject.count(built.prompt.messages),
        completion_tokens=len(written.tokens),
        latency_ms=round(latency_ms, 1),
        provenance=_provenance(subject, report, built.prompt),
        trace=_trace(built, written, verdict),
    )


def too_large(placed: Placed, why: VeriSQLError, report: VerifyReport, subject: Subject) -> Outcome:
    """Of a question that does not fit into the model's context: wrong, where its gold is sound."""
    place, question = placed
    told = _of_verdict(report.verdicts[0])
    if not told["masked"]:
        told |= {"status": why.code, "message": why.message}
    about = _provenance(subject, report, None)
    return Outcome(place=place, question=question, sql=None, **told, provenance=about)


def unusable(placed: Placed, why: VeriSQLError, subject: Subject) -> Outcome:
    """Of a question whose database cannot be used: left out."""
    place, question = placed
    return Outcome(
        place=place,
        question=question,
        sql=None,
        status=why.code,
        metrics={},
        masked=True,
        message=why.message,
        provenance=_provenance(subject, None, None),
    )


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "metrics": verdict.metrics,
        "masked": verdict.masked,
        "retryable": verdict.retryable,
        "message": verdict.message,
    }


def _sample(verdict: Verdict, written: Written) -> Sample:
    mean = sum(written.logps) / len(written.logps) if written.logps else None
    return Sample(verdict.sql, verdict.status, verdict.metrics, mean_logprob=mean)


def _provenance(subject: Subject, report: VerifyReport | None, prompt: Prompt | None) -> Provenance:
    return Provenance(
        model=subject.model,
        template=prompt.template if prompt else str(subject.template),
        prompt_sha256=prompt.sha256 if prompt else "",
        database_sha256=report.database_sha256 if report else "",
        verifier_version=report.verifier_version if report else "",
    )


def _trace(built: Built, written: Written, verdict: Verdict) -> dict[str, Any]:
    """The names are those of an answer of the service."""
    left_out = asdict(built.prompt.left_out)
    return {
        "status": "no_sql" if verdict.sql is None else "ok",
        "messages": built.prompt.messages,
        "completions": [written.text],
        "finish_reason": "stop" if written.finished else "length",
        "values": [asdict(match) for match in built.values],
        # Lists, as they will be read back.
        "left_out": {k: list(v) if isinstance(v, tuple) else v for k, v in left_out.items()},
    }
