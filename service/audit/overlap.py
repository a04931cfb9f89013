"""What train and dev share that they must not share: databases, and questions alike; pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from service.audit.leaks import Side, shared_databases
from service.audit.normal import same_question
from service.text2sql.questions import Question

_ALIKE = 0.8
"""Share of common columns (Jaccard) from which on two databases are versions of one. The closest
pair of Spider's train and dev databases has 0.44."""
_NEAR = 90.0
"""Similarity of two normalised questions, 0..100, from which on they are near-identical: 100 times
2 M / T, with M common characters in order of T in both."""
_NAMED = 5  # databases or questions that the message lists


@dataclass(frozen=True, slots=True)
class Leaks:
    """What dev and train share; both empty where nothing is."""

    databases: dict[str, str]
    """By the db_id in train: how the database is known in dev."""
    questions: list[tuple[Question, Question]]
    """The question in train, and the one in dev."""


def find_leaks(train: Side, dev: Side, *, same_databases: bool = False) -> Leaks:
    """Databases of one name, one content or one set of columns; and questions asked on both sides.

    A question counts where its wording is the same or near-identical and its database is a version
    of the other's: that one database's question is asked of another one too is no leak. With
    `same_databases` databases are not compared, and the questions of shared ones are.
    """
    if same_databases:
        return Leaks({}, list(_questions(train, dev, shared={})))
    shared = {db_id: how for db_id, how in shared_databases(train, dev).items() if how}
    return Leaks(dict(sorted(shared.items())), list(_questions(train, dev, shared)))


def describe(leaks: Leaks) -> str:
    """What is shared and what to do about it; empty where nothing is."""
    parts = [
        *_listed(
            "databases", [f"{db_id} (in dev: {how})" for db_id, how in leaks.databases.items()]
        ),
        *_listed(
            "questions",
            [
                f"{mine.question_id} on {mine.db_id} (in dev: {other.question_id} on "
                f"{other.db_id}, {other.question[:80]!r})"
                for mine, other in leaks.questions
            ],
        ),
    ]
    if not parts:
        return ""
    return (
        f"dev_data and train_data share {'; and '.join(parts)}. What was trained on measures "
        "nothing: leave these out of train_data, or give a dev_data on other databases"
    )


def _listed(kind: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {kind}: {', '.join(names[:_NAMED])}{more}"]


def _questions(
    train: Side, dev: Side, shared: dict[str, str]
) -> Iterator[tuple[Question, Question]]:
    asked = _by_database(train)
    there = _by_database(dev)
    for db_id, questions in asked.items():
        # A shared database is said once; its questions would only fill the message.
        alike = [] if db_id in shared else [d for d in there if _are_versions(db_id, train, d, dev)]
        others = [question for d in alike for question in there[d]]
        texts = [same_question(question.question) for question in others]
        for question in questions:
            text = same_question(question.question)
            if near := process.extractOne(text, texts, scorer=fuzz.ratio, score_cutoff=_NEAR):
                yield question, others[near[2]]


def _are_versions(mine: str, train: Side, other: str, dev: Side) -> bool:
    if mine not in train.identities or other not in dev.identities:
        return False
    one, two = train.identities[mine].columns, dev.identities[other].columns
    return bool(one and two) and len(one & two) >= _ALIKE * len(one | two)


def _by_database(of: Side) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = defaultdict(list)
    for question in of.rows.values():
        found[question.db_id].append(question)
    return found
