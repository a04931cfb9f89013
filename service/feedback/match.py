"""Find the verified query of a question: the same one, or one that is nearly the same. Pure.

- same: equal `words` (case, blanks, punctuation and spelling of characters aside), and what one
  puts in quotation marks stands letter for letter in the other;
- nearly the same: equal `gist`, and the same texts in quotation marks. If two verified queries are
  as near and their SQL differs, none is found.

Evidence has to be equal letter for letter but for blanks. A wrong match is worse than none.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256

from service.feedback.records import VerifiedQuery
from service.feedback.wording import gist, plain_evidence, quoted, quotes_agree, words

MAX_CHARS = 2000
"""Longer questions match none: nobody asks them twice, and to compare them takes milliseconds."""

_Key = tuple[str, str, tuple[str, ...]]


class VerifiedQueries:
    """An index of verified queries, made once and not changed."""

    def __init__(self, queries: Iterable[VerifiedQuery]) -> None:
        self._same: dict[_Key, list[VerifiedQuery]] = defaultdict(list)
        self._near: dict[_Key, list[VerifiedQuery]] = defaultdict(list)
        self._count = 0
        for query in sorted(queries, key=lambda query: (query.verified_at, query.id), reverse=True):
            self._count += 1
            where = (query.db_id, plain_evidence(query.evidence))
            if len(query.question) <= MAX_CHARS:
                self._same[*where, words(query.question)].append(query)
                self._near[*where, gist(query.question)].append(query)

    def __len__(self) -> int:
        return self._count

    def find(
        self, db_id: str, database_sha256: str, question: str, evidence: str = ""
    ) -> VerifiedQuery | None:
        """The verified query of this question on this database, the latest if there are several.

        Among those that are nearly the same, those verified on this very file (`database_sha256`)
        come first. A query that was verified on another file is found too: the caller has to see
        whether its SQL still compiles to the same.
        """
        if len(question) > MAX_CHARS or not (asked := words(question)):
            return None
        where = (db_id, plain_evidence(evidence))
        same = (query for query in self._same.get((*where, asked), ()))
        if found := next((q for q in same if quotes_agree(q.question, question)), None):
            return found
        meant = gist(question)
        near = self._near.get((*where, meant), ()) if meant else ()
        alike = [query for query in near if quoted(query.question) == quoted(question)]
        return _agreed(alike, database_sha256)


def same_question(one: str, other: str) -> bool:
    """True if one verified query answers both: the later one then replaces the earlier."""
    return words(one) == words(other) and quotes_agree(one, other)


def question_key(question: str, evidence: str) -> str:
    """SHA-256, equal for all questions that same_question may hold for."""
    parts = [plain_evidence(evidence), *words(question)]
    return sha256("\0".join(parts).encode()).hexdigest()


def _agreed(alike: Sequence[VerifiedQuery], database_sha256: str) -> VerifiedQuery | None:
    here = [query for query in alike if query.database_sha256 == database_sha256] or alike
    return here[0] if len({query.sql for query in here}) == 1 else None
