"""Labels by agreement against labels by gold: python -m bench.consensus_labels RUN_DIR

Takes the run folder of a job whose offline stage judged its candidates by gold, and judges the
same candidates by the agreement of their results (trainer/offline/consensus.py). With
`--into RUN_DIR` these go into the folder of another run, with their new rewards, and with the rows
that the first settled on: if that run has the same seed, template and data and
`offline.labels: consensus`, it trains on them, so that two runs that are sampled once differ in
their labels alone.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.figures import machine, report
from service.jobs.rundir import RunDir
from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.types import Verdict
from trainer.files import CANDIDATES, ROWS
from trainer.offline.candidates import Candidates, append, read_candidates
from trainer.offline.consensus import agreed
from trainer.verifier_thread import VerifierThread


@dataclass(frozen=True, slots=True)
class Labels:
    """One question's candidates with a reward from each judge."""

    gold: list[float]
    agreed: list[float] | None
    """None: nobody knows."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The figures of one run."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.into and _stage(RunDir(given.into)).exists():
        parser.error(f"--into {given.into}: this run has begun; it must be new")
    facts = machine()
    run = RunDir(given.run_dir)
    request = run.request()
    found = read_candidates(_stage(run) / CANDIDATES)[: given.questions]
    with VerifierThread(request.data_dirs, workers=2, limits=request.limits) as judge:
        judged = [(one, agreed(one.db_id, _texts(one), judge.verify)) for one in found]
    if given.into:
        hand_over(run, RunDir(given.into), [relabelled(one, said) for one, said in judged])
    labels = [both for one, verdicts in judged if (both := _labels(one, verdicts))]
    figures = measured(labels)
    for name, value in figures.items():
        print(f"{name}: {value}")
    report(given.output, "consensus_labels", figures, facts)


def measured(labels: Sequence[Labels]) -> dict[str, Any]:
    """Counts and shares; a question counts as labelled where a majority was found."""
    told = [one for one in labels if one.agreed is not None]
    pairs = [
        (gold, said) for one in told for gold, said in zip(one.gold, one.agreed or [], strict=True)
    ]
    chosen = [gold for gold, said in pairs if said]
    right = sum(sum(one.gold) for one in labels)
    by_majority = sum(_majority_is_right(one) for one in told)
    return {
        "questions": len(labels),
        "mean_reward_by_gold": round(fmean(r for one in labels for r in one.gold), 4),
        "some_right_by_gold": sum(any(one.gold) for one in labels),
        "labelled": len(told),
        "majority_right": by_majority,
        "majority_right_share": round(by_majority / max(1, len(told)), 4),
        "interval_95": [round(x, 4) for x in wilson(by_majority, len(told))],
        "completions_chosen": len(chosen),
        "precision_of_chosen": round(fmean(chosen), 4) if chosen else None,
        "recall_of_right": round(sum(chosen) / right, 4) if right else None,
        "same_reward": round(fmean(g == s for g, s in pairs), 4) if pairs else None,
    }


def relabelled(found: Candidates, verdicts: Sequence[Verdict]) -> Candidates:
    """The same completions with these verdicts' status and reward; verdicts in their order."""
    pairs = zip(found.completions, verdicts, strict=True)
    return replace(
        found, completions=[replace(c, status=v.status, reward=v.reward) for c, v in pairs]
    )


def hand_over(run: RunDir, other: RunDir, found: Sequence[Candidates]) -> None:
    """The other run finds these where it would have sampled; it must not have begun."""
    stage = _stage(other)
    stage.mkdir(parents=True)
    shutil.copy(_stage(run) / ROWS, stage / ROWS)
    append(stage / CANDIDATES, found)


def _stage(run: RunDir) -> Path:
    return run.path / "stages" / "offline"


def _majority_is_right(one: Labels) -> bool:
    return any(gold and said for gold, said in zip(one.gold, one.agreed or [], strict=True))


def _texts(one: Candidates) -> list[str]:
    return [completion.text for completion in one.completions]


def _labels(one: Candidates, verdicts: Sequence[Verdict]) -> Labels | None:
    gold = [c.reward for c in one.completions]
    if any(reward is None for reward in gold):
        return None
    said = [verdict.reward for verdict in verdicts]
    known = [r for r in said if r is not None]
    return Labels(
        gold=[float(r or 0) for r in gold], agreed=known if len(known) == len(said) else None
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.consensus_labels", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--questions", type=int, help="only the first so many")
    parser.add_argument("--into", type=Path, help="a run that is to train on labels by agreement")
    parser.add_argument("--output", type=Path)
    return parser


if __name__ == "__main__":
    main()
