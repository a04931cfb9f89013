"""How often two wordings that count as nearly the same question have the same gold.

`python -m bench.near_questions FILE...`, files in BIRD's or Spider's format. Every pair of
different wordings of one database and evidence is tried. A pair is right if both golds are the same
text, which is strict: golds that mean the same may be written differently.
"""

import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path

from service.feedback.match import question_key
from service.feedback.wording import gist, quoted
from service.text2sql.questions import Question, read_questions


def main(files: list[str]) -> None:
    """Print the counts, and each pair that is wrong."""
    pairs = right = wrong = 0
    for asked in _by_place(files).values():
        for one, other in combinations(asked, 2):
            same_gold = _plain(one.gold_sql) == _plain(other.gold_sql)
            pairs += same_gold
            if _match(one.question, other.question):
                right += same_gold
                wrong += not same_gold
                if not same_gold:
                    print(one.question, other.question, one.gold_sql, other.gold_sql, sep="\n")
    print(f"{pairs} pairs have the same gold; {right} are found; {wrong} found have another gold")


def _by_place(files: list[str]) -> dict[tuple[str, str], list[Question]]:
    found: dict[tuple[str, str], dict[str, Question]] = defaultdict(dict)
    for file in files:
        for row in read_questions(Path(file)):
            key = question_key(row.question, row.evidence)
            found[row.db_id, row.evidence.strip()].setdefault(key, row)
    return {place: list(rows.values()) for place, rows in found.items()}


def _match(one: str, other: str) -> bool:
    return gist(one) == gist(other) and quoted(one) == quoted(other)


def _plain(sql: str) -> str:
    return " ".join(sql.split()).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
