"""An outcome as a JSON object, one line of questions.jsonl, and back."""

from dataclasses import asdict, replace
from typing import Any

from service.text2sql.evaluation.outcome import Outcome, Provenance, Sample
from service.text2sql.questions import Question

Line = dict[str, Any]


def as_line(outcome: Outcome) -> Line:
    """The question's fields first, all else below its own name."""
    rest = asdict(replace(outcome, trace={}))  # a trace is JSON already, and long
    question = rest.pop("question")
    place = rest.pop("place")
    return {"place": place, **question, **rest, "trace": dict(outcome.trace)}


def from_line(line: Line) -> Outcome:
    """Raises ValueError for an object that as_line has not made."""
    try:
        rest = dict(line)
        question = Question(**{name: rest.pop(name) for name in Question.__slots__})
        samples = tuple(Sample(**sample) for sample in rest.pop("samples"))
        provenance = Provenance(**rest.pop("provenance"))
        return Outcome(question=question, samples=samples, provenance=provenance, **rest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"is no outcome of an evaluation: {error}") from error
