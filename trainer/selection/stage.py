"""The stage `select`: rounds of successive halving, to the arm that the run goes on with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from service.errors import InvalidRequest
from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.folder import as_json
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.whole_file import write_whole
from trainer.context import Context, StageResult
from trainer.evaluation.ask import Asker
from trainer.evaluation.dev import read_dev
from trainer.evaluation.loaded import Open, open_model
from trainer.evaluation.prompts import Prompts
from trainer.evaluation.status import AskingStatus
from trainer.evaluation.subject import subject_of
from trainer.selection.answers import answer
from trainer.selection.arms import Arm, arms_of
from trainer.selection.halving import Round, nested, rounds, survivors
from trainer.selection.picture import figure, picture
from trainer.selection.table import METRIC, Held, accuracy, table


def run_select(context: Context, opened: Open | None = None) -> StageResult:
    """The best of base models by templates by temperatures on dev; a single one is not asked.

    Goes on where an earlier session was killed. Raises InvalidRequest without dev_data, without the
    folder of a model, or where no question can be judged; StopRequested after a stop.
    """
    context.stopper.allow()
    arms = arms_of(context.request)
    held = _race(context, arms, opened or partial(open_model, context)) if len(arms) > 1 else []
    winner = arms[held[-1].kept[0]] if held else arms[0]
    context.run.append_event("info", "selected", f"chosen: {winner.label}", arm=winner.number)
    found = table(arms, held, winner)
    if held:
        _write(context.folder("select"), found)
        found["figure"] = figure(found)
    return StageResult(stage="select", policy=winner.policy, steps=context.steps, numbers=found)


def _write(folder: Path, found: dict[str, object]) -> None:
    write_whole(folder / "table.json", as_json(found))
    write_whole(folder / "picture.svg", picture(found).encode())


@dataclass(frozen=True, slots=True)
class _Asking:
    """What the arms of all rounds share."""

    context: Context
    asker: Asker
    opened: Open
    done: Callable[[int], None]


def _race(context: Context, arms: Sequence[Arm], opened: Open) -> list[Held]:
    chosen = context.settings.select
    dev = read_dev(context.request, "select")
    planned = rounds(len(arms), chosen.questions, chosen.keep, len(dev.questions))
    seed = context.request.spec.seed
    samples = nested(dev.drawn(None, seed), [one.questions for one in planned], seed)
    prompts = Prompts(context.verifier, context.value_indexes())
    status = AskingStatus(context.run, "select", _questions(planned))
    try:
        asker = Asker(context.verifier, prompts, [METRIC])
        return _rounds(_Asking(context, asker, opened, status.done), arms, planned, samples)
    finally:
        prompts.close()


def _questions(planned: Sequence[Round]) -> int:
    """That are asked in all rounds, each arm's counted."""
    before = [0, *(one.questions for one in planned)]
    return sum(
        one.arms * (one.questions - asked) for one, asked in zip(planned, before, strict=False)
    )


def _rounds(
    asking: _Asking,
    arms: Sequence[Arm],
    planned: Sequence[Round],
    samples: Sequence[Sequence[Placed]],
) -> list[Held]:
    held: list[Held] = []
    left, known = list(arms), set[int]()
    for one, sample in zip(planned, samples, strict=True):
        fresh = [placed for placed in sample if placed[0] not in known]
        known |= {place for place, _ in fresh}
        outcomes = _ask(asking, left, fresh, known)
        shares = [accuracy(outcomes[arm.number]).share for arm in left]
        _check_judged(shares)
        left = [left[n] for n in survivors([s or 0.0 for s in shares], one.survivors)]
        held.append(Held(outcomes, [arm.number for arm in left]))
        _tell(asking.context, held, left)
    return held


def _ask(
    asking: _Asking, arms: Sequence[Arm], fresh: Sequence[Placed], known: set[int]
) -> dict[int, list[Outcome]]:
    """The outcomes of each arm on all questions so far; each model is loaded once."""
    found: dict[int, list[Outcome]] = {}
    folder, settings = asking.context.folder("select"), asking.context.settings
    for _, some in groupby(arms, key=lambda arm: arm.path):
        same_model = list(some)
        with asking.opened(same_model[0].policy) as complete:
            for arm in same_model:
                subject = subject_of(arm.policy, None, settings, arm.temperature)
                path = folder / arm.file_name
                answers = answer(path, fresh, asking.asker, subject, complete, asking.done)
                found[arm.number] = [answers[place] for place in sorted(known)]
    return found


def _check_judged(shares: Sequence[float | None]) -> None:
    if all(share is None for share in shares):
        raise InvalidRequest(
            "no question of dev_data can be judged: stages/select has what became of each",
            param="dev_data",
        )


def _tell(context: Context, held: Sequence[Held], left: Sequence[Arm]) -> None:
    """What became of the newest round, once."""
    number, last = len(held), held[-1]
    told = [e.get("data", {}) for e in context.run.events() if e.get("type") == "select_round"]
    if any(data.get("round") == number for data in told):
        return
    questions = max(map(len, last.outcomes.values()))
    names = "; ".join(
        f"{arm.label}: {accuracy(last.outcomes[arm.number]).share or 0:.1%}" for arm in left
    )
    message = f"round {number}, {len(last.outcomes)} arms on {questions} questions; kept: {names}"
    context.run.append_event("info", "select_round", message, round=number, kept=list(last.kept))
