"""Who gives verdicts on completions that are trained on: this process, or a service at a URL."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from service.errors import SettingsError
from service.jobs.spec import JobSpec
from service.jobs.verdict_url import KEY_VARIABLE, checked_key
from service.text2sql.questions import Question
from service.text2sql.types import VerifyReport, VerifyTask
from trainer.verifier_thread import VerifierThread


class VerdictSource(Protocol):
    """The one verifier, wherever it runs."""

    @property
    def version(self) -> str:
        """Of the verifier that judges."""
        ...

    def verify(self, tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        """Reports in the order of the tasks; with `robust` an untried match is masked."""
        ...


@contextmanager
def verdict_source(
    spec: JobSpec, verifier: VerifierThread, questions: Sequence[Question]
) -> Iterator[VerdictSource]:
    """`verifier`, or the service of `verify_url` once it has judged on each database as we would.

    Raises SettingsError for a key that cannot be sent, and what RemoteVerdicts.check does.
    """
    if spec.verify_url is None:
        yield verifier
        return
    # Imported here: who judges himself needs no HTTP client.
    from trainer.remote_verdicts import RemoteVerdicts

    patience_s = spec.verify_patience_s
    with RemoteVerdicts(spec.verify_url, _key(), verifier, patience_s=patience_s) as source:
        copies = spec.hyperparameters.reward_copies
        source.check((question.db_id for question in questions), copies)
        yield source


def _key() -> str | None:
    try:
        return checked_key(os.environ.get(KEY_VARIABLE))
    except ValueError as error:
        raise SettingsError(str(error), param=KEY_VARIABLE) from None
