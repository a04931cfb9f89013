"""One rank of a GRPO run up to its first step: python rows_rank.py RUN

It prepares the stage as `python -m trainer` does, and leaves `rank_N.json` in the run's folder: the
rows that it would train on, and how many golds it has run.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from service.text2sql.types import VerifyReport, VerifyTask


def main() -> None:
    """Build the trainer, train nothing."""
    from trainer.context import Context, Policy
    from trainer.grpo.stage import _build
    from trainer.scale.ranks import rank, run_of_rank
    from trainer.stopping import Stopper
    from trainer.verifier_thread import VerifierThread

    class Counting(VerifierThread):
        golds_run = 0

        def verify(self, tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
            self.golds_run += len(tasks)
            return super().verify(tasks)

    run = run_of_rank(Path(sys.argv[1]))
    request = run.request()
    policy = Policy(
        base_model=request.spec.base_model,
        base_model_path=request.base_model_path,
        template=request.spec.hyperparameters.template,
    )
    with Counting(request.data_dirs, workers=1, limits=request.limits) as verifier:
        trainer = _build(Context(run, request, verifier, Stopper(), policy, 0))
        rows = sorted({row["question_id"] for row in trainer.train_dataset})
        told = {"rows": rows, "golds_run": verifier.golds_run}
    (run.path / f"rank_{rank()}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
