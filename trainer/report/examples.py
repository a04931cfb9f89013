"""The report's part with rollouts: the same questions early and late, as they were written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.errors import VeriSQLError
from service.text2sql.questions import Question, read_questions
from trainer.report.before_after import before_after_section
from trainer.report.completions import completion, example
from trainer.report.cost import number
from trainer.report.facts import Facts, Row

_SHOWN, _COMPLETIONS = 6, 3


@dataclass(frozen=True, slots=True)
class Group:
    """What was written for one question in one step."""

    step: int
    rows: Sequence[Row]

    @property
    def reward(self) -> float:
        """Mean, 0..1; 0 if none could be judged."""
        rewards = [r for row in self.rows if (r := number(row.get("reward"))) is not None]
        return sum(rewards) / len(rewards) if rewards else 0.0


@dataclass(frozen=True, slots=True)
class Twice:
    """One question, early and late."""

    key: tuple[str, str]
    early: Group
    late: Group


def examples_section(facts: Facts) -> str:
    """Answers to dev before and after where there are both, else rollouts; nothing without any."""
    if answers := before_after_section(facts):
        return answers
    found = chosen(facts.rollouts)
    if not found:
        return ""
    asked = _questions(facts)
    shown = "".join(_example(one, asked.get(one.key)) for one in found)
    return (
        "<h2>Rollouts early and late</h2><p class='soft'>Questions of the training data that were "
        "asked at least twice, completions as they were sampled. Those whose reward moved most, up "
        f"or down, come first.</p>{shown}"
    )


def chosen(rollouts: Iterable[Row]) -> list[Twice]:
    """First against last time of each question, the largest changes first; ties by step."""
    groups: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rollouts:
        if isinstance(row.get("step"), int):
            key = str(row.get("db_id")), str(row.get("question_id"))
            groups.setdefault(key, {}).setdefault(row["step"], []).append(row)
    twice = [
        Twice(key, Group(min(steps), steps[min(steps)]), Group(max(steps), steps[max(steps)]))
        for key, steps in groups.items()
        if len(steps) > 1
    ]
    twice.sort(key=lambda t: (-abs(t.late.reward - t.early.reward), t.early.step))
    return twice[:_SHOWN]


def _questions(facts: Facts) -> dict[tuple[str, str], Question]:
    try:
        found = read_questions(facts.request.train_data_path, need_gold=False)
    except (OSError, VeriSQLError):
        return {}  # Moved or changed since: the completions are shown without their question.
    return {(one.db_id, one.question_id): one for one in found}


def _example(one: Twice, asked: Question | None) -> str:
    db_id, number_ = one.key
    told = asked.question if asked else f"question {number_}"
    return example(db_id, told, asked, _group("early", one.early), _group("late", one.late))


def _group(name: str, group: Group) -> str:
    counted = Counter(
        (str(row.get("completion")), str(row.get("status")), row.get("message"))
        for row in group.rows
    )
    listed = counted.most_common(_COMPLETIONS)
    more = len(counted) - len(listed)
    rest = f"<p class='soft'>and {more} other completions</p>" if more else ""
    return (
        f"<div><h3>{name}: step {group.step}, reward {group.reward:.2f} of {len(group.rows)}</h3>"
        f"{''.join(completion(*key, count) for key, count in listed)}{rest}</div>"
    )
