"""Answer a question on behalf of a route: generate, count, remember for feedback."""

from dataclasses import dataclass, fields

from service.api.deps import Parts
from service.feedback.records import AnswerRecord
from service.generation.stages import Report, unreported
from service.generation.task import GenerateAnswer, GenerateTask
from service.logs import request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateReply(GenerateAnswer):
    """The answer, under the request's id."""

    request_id: str


async def answer_question(
    task: GenerateTask, parts: Parts, report: Report = unreported
) -> GenerateReply:
    """The answer, counted, remembered if asked for; raises as Generator.generate."""
    answer = await parts.generator.generate(task, report)
    parts.metrics.count_generation(answer)
    if task.remember:
        parts.feedback.record(_record(task, answer))
    given = {field.name: getattr(answer, field.name) for field in fields(answer)}
    return GenerateReply(**given, request_id=request_id.get())


def _record(task: GenerateTask, answer: GenerateAnswer) -> AnswerRecord:
    return AnswerRecord(
        request_id=request_id.get(),
        db_id=task.db_id,
        database_sha256=answer.database_sha256,
        question=task.question,
        evidence=task.evidence,
        sql=answer.sqlite_sql,
        status=answer.status,
        model=answer.model.adapter or answer.model.name,
        prompt_sha256=answer.prompt_sha256,
        verified_query_id=answer.verified_query_id,
        follow_up=bool(task.history),
    )
