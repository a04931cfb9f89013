"""What a run was made with: enough to say whether two runs can be compared, or one goes on."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.text2sql.evaluation.outcome import Outcome, Provenance

FORMAT = "verisql-eval-1"
Manifest = dict[str, Any]
Session = dict[str, Any]
"""`started_at`, `ended_at` (ISO 8601, UTC), `seconds`, `asked`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before the first question is asked."""

    file: str
    file_sha256: str
    in_file: int
    """Questions of the file."""
    places: tuple[int, ...]
    """Of those that are asked, in the file's order."""
    selection: Mapping[str, Any] = field(default_factory=dict)
    """How those were chosen, as JSON."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What decides the answers and the verdicts, as JSON."""


def manifest(
    plan: Plan,
    outcomes: Sequence[Outcome],
    sessions: Sequence[Session],
    surroundings: Mapping[str, Any],
) -> Manifest:
    """The JSON object; `surroundings` say what it ran on (service version, machine).

    The run is finished once each of its questions has an outcome.
    """
    known = [o.provenance for o in sorted(outcomes, key=lambda outcome: outcome.place)]
    return {
        "format": FORMAT,
        "status": "finished" if len(outcomes) == len(plan.places) else "unfinished",
        "questions": _questions(plan),
        "settings": dict(plan.settings),
        "answered_by": _common(known),
        "templates": dict(Counter(p.template for p in known if p.template)),
        "prompts_sha256": _digest(p.prompt_sha256 for p in known),
        "databases": _databases(outcomes),
        **surroundings,
        "started_at": sessions[0]["started_at"] if sessions else None,
        "ended_at": sessions[-1]["ended_at"] if sessions else None,
        "seconds": round(sum(session["seconds"] for session in sessions), 3),
        "sessions": list(sessions),
        "counts": _counts(outcomes),
        "tokens": {
            "prompt": sum(outcome.prompt_tokens for outcome in outcomes),
            "completion": sum(outcome.completion_tokens for outcome in outcomes),
        },
    }


def changes(earlier: Manifest, plan: Plan) -> list[str]:
    """Why the run of an earlier manifest is not the one of this plan: a line for each difference.

    Where the file stands does not matter, what it holds does.
    """
    known = earlier.get("questions", {})
    found = []
    if known.get("sha256") != plan.file_sha256:
        found.append(f"the questions are other ones than those of {known.get('file')}")
    elif known.get("places_sha256") != _digest(map(str, plan.places)):
        asked, now = known.get("asked"), len(plan.places)
        found.append(f"other questions of the file are asked ({asked} then, {now} now)")
    then, now_ = earlier.get("settings", {}), plan.settings
    return found + [
        f"{name} was {_told(then.get(name))}, is {_told(now_.get(name))}"
        for name in sorted(then.keys() | now_.keys())
        if then.get(name) != now_.get(name)
    ]


def drift(earlier: Outcome, later: Outcome) -> str | None:
    """What changed in the service between two answers of one run, if something did."""
    a, b = earlier.provenance, later.provenance
    if a.model and b.model and a.model != b.model:
        return f"the model was {_told(a.model)}, is {_told(b.model)}"
    versions = (a.verifier_version, b.verifier_version)
    if all(versions) and versions[0] != versions[1]:
        return f"the verifier's version was {versions[0]}, is {versions[1]}"
    hashes = (a.database_sha256, b.database_sha256)
    same = earlier.question.db_id == later.question.db_id
    if same and all(hashes) and hashes[0] != hashes[1]:
        return f"the database {later.question.db_id!r} is another file than before"
    return None


def _questions(plan: Plan) -> dict[str, Any]:
    return {
        "file": plan.file,
        "sha256": plan.file_sha256,
        "in_file": plan.in_file,
        "asked": len(plan.places),
        "places_sha256": _digest(map(str, plan.places)),
        "selection": dict(plan.selection),
    }


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    masked = sum(outcome.masked for outcome in outcomes)
    return {"answered": len(outcomes), "judged": len(outcomes) - masked, "masked": masked}


def _told(value: Any) -> str:
    return "not given" if value is None else repr(value)


def _common(known: Sequence[Provenance]) -> dict[str, Any]:
    """Of the first answer that has it; `drift` sees to it that the others have the same."""
    model = next((p.model for p in known if p.model), None)
    verifier = next((p.verifier_version for p in known if p.verifier_version), None)
    return {"model": dict(model) if model else None, "verifier_version": verifier}


def _databases(outcomes: Sequence[Outcome]) -> dict[str, str]:
    known = {o.question.db_id: o.provenance.database_sha256 for o in outcomes}
    return {name: sha256 for name, sha256 in sorted(known.items()) if sha256}


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="backslashreplace")).hexdigest()
