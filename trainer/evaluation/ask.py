"""A batch of questions: prompts, completions, verdicts."""

import time
from collections.abc import Iterator, Sequence

from service.errors import DatabaseUnusable, TooLarge, VeriSQLError
from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.types import Metric, VerifyReport, VerifyTask
from trainer.evaluation.outcomes import answered, too_large, unusable
from trainer.evaluation.prompts import Built, Prompts, Ready
from trainer.evaluation.subject import Subject
from trainer.sampling import Complete, Written
from trainer.verifier_thread import VerifierThread

BATCH = 16
"""Questions."""
_TRIES = 4
"""Of a verdict that fails for a reason that may pass."""

Answer = tuple[Built, Written] | VeriSQLError
Judged = VerifyReport | VeriSQLError
"""The error says why the database cannot be used."""


def batches(chosen: Sequence[Placed]) -> Iterator[Sequence[Placed]]:
    """Always the same ones for the same questions.

    bf16 rounds by what is computed together: a batch that was cut short is asked again whole, so
    that a resumed run writes what an unbroken one would.
    """
    for start in range(0, len(chosen), BATCH):
        yield chosen[start : start + BATCH]


class Asker:
    """Asks whatever model it is given, one generation a question."""

    def __init__(
        self, verifier: VerifierThread, prompts: Prompts, metrics: Sequence[Metric]
    ) -> None:
        self._verifier = verifier
        self._prompts = prompts
        self._metrics = tuple(metrics)

    def ask(self, batch: Sequence[Placed], subject: Subject, complete: Complete) -> list[Outcome]:
        """An outcome for each question, in order; each has its share of the model's time."""
        asked = [question for _, question in batch]
        readies = self._prompts.build(asked, subject.template, subject.budget)
        began = time.monotonic()
        answers = _answers(readies, subject, complete)
        latency_ms = (time.monotonic() - began) * 1000 / len(batch)
        judged = self._judged(batch, answers)
        return [
            _outcome(*about, subject, latency_ms)
            for about in zip(batch, answers, judged, strict=True)
        ]

    def _judged(self, batch: Sequence[Placed], answers: Sequence[Answer]) -> list[Judged]:
        texts = [_text(answer) for answer in answers]
        tasks = [
            self._task(placed, text)
            for placed, text in zip(batch, texts, strict=True)
            if isinstance(text, str)
        ]
        reports = iter(self._reports(tasks))
        return [next(reports) if isinstance(text, str) else text for text in texts]

    def _task(self, placed: Placed, text: str) -> VerifyTask:
        _, question = placed
        return VerifyTask(
            db_id=question.db_id,
            gold_sql=(question.gold_sql,),
            predictions=(text,),
            extract="auto",
            metrics=self._metrics,
            diff_rows=0,
        )

    def _reports(self, tasks: Sequence[VerifyTask]) -> list[Judged]:
        try:
            found: list[Judged] = list(self._verifier.verify(tasks))
        except DatabaseUnusable:
            # One damaged file must not take the verdicts of the others.
            found = [self._one(task) for task in tasks]
        for _ in range(_TRIES - 1):
            for n, report in enumerate(found):
                if isinstance(report, VerifyReport) and report.verdicts[0].retryable:
                    found[n] = self._one(tasks[n])
        return found

    def _one(self, task: VerifyTask) -> Judged:
        try:
            return self._verifier.verify([task])[0]
        except DatabaseUnusable as error:
            return error


def _answers(readies: Sequence[Ready], subject: Subject, complete: Complete) -> list[Answer]:
    prompts = [ready.prompt.messages for ready in readies if isinstance(ready, Built)]
    groups: Iterator[list[Written]] = iter(())
    if prompts:
        most, temperature = subject.max_tokens, subject.temperature
        groups = iter(complete(prompts, n=1, max_tokens=most, temperature=temperature))
    return [(ready, next(groups)[0]) if isinstance(ready, Built) else ready for ready in readies]


def _text(answer: Answer) -> str | VeriSQLError:
    """What is judged; where there is no prompt, nothing, so that the gold is looked at."""
    if isinstance(answer, TooLarge):
        return ""
    return answer if isinstance(answer, VeriSQLError) else answer[1].text


def _outcome(
    placed: Placed, answer: Answer, judged: Judged, subject: Subject, latency_ms: float
) -> Outcome:
    if isinstance(judged, VeriSQLError):
        return unusable(placed, judged, subject)
    if isinstance(answer, VeriSQLError):
        return too_large(placed, answer, judged, subject)
    return answered(placed, *answer, judged, subject, latency_ms)
