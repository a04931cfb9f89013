"""The small demonstration of the recipe: python -m trainer.demo [--data DATA] [--seeds "0 1 2"]

Trains SmolLM2-135M with the stages offline, grpo and evaluate, once for each seed, and, to compare,
the warm-up on for as many supervised steps as GRPO took; shows what came of it. Stopped at any
moment, the same command goes on. Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 stopped.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from service.errors import InvalidRequest, VeriSQLError
from service.jobs.rundir import RunDir
from trainer.demo.data import Split, split_data
from trainer.demo.preset import DEV_QUESTIONS, MODEL
from trainer.demo.runs import TRAINER, control_run, demo_run, finish
from trainer.demo.table import read_points, table

DONE, FAILED, STOPPED = 0, 1, 130


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = TRAINER) -> int:
    """Data, model, a run for each seed, the table; returns the exit code."""
    given = _parser().parse_args(arguments)
    output: Path = given.output.expanduser().resolve()
    console = Console(soft_wrap=True, highlight=False)
    try:
        split = _split(given.data, output)
        console.print(
            f"{len(split.train)} questions to train on; {len(split.dev)} measure: {split.said}"
        )
        model = given.model or Path(_printed("service.models", MODEL))
        runs = {seed: demo_run(output, split, model, seed) for seed in given.seeds}
        controls: dict[int, RunDir] = {}
        for seed, run in runs.items():
            code = _finish(run, f"seed {seed}", command, console)
            if code == DONE and given.control:
                controls[seed] = control_run(run)
                code = _finish(controls[seed], f"seed {seed}, control", command, console)
            if code != DONE:
                return code
        _show(runs, controls, split, console)
    except VeriSQLError as error:
        console.print(f"rlvr-demo: {error.message}", markup=False)
        return FAILED
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, help="folder in BIRD's or Spider's layout, or a file of questions"
    )
    parser.add_argument("--seeds", type=_seeds, default=[0], help='such as "0 1 2"; default 0')
    parser.add_argument("--output", type=Path, default=Path("~/.verisql/rlvr-demo"))
    parser.add_argument(
        "--no-control", dest="control", action="store_false", help="leave out what GRPO has to beat"
    )
    parser.add_argument("--model", type=Path, help=f"folder of the model; default: fetch {MODEL}")
    return parser


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers from 0 on") from error
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} must be different whole numbers from 0 on")
    return seeds


def _split(data: Path | None, output: Path) -> Split:
    if data is not None:
        return split_data(data.expanduser().resolve(), DEV_QUESTIONS)
    databases = output / "databases"
    questions = Path(_printed("service.demo", str(databases)))
    return split_data(questions, DEV_QUESTIONS, databases)


def _printed(module: str, argument: str) -> str:
    """The service's parts are asked as processes: the trainer does not import them."""
    done = subprocess.run(
        [sys.executable, "-m", module, argument], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise InvalidRequest(f"{module} {argument} ended with {done.returncode}")
    return done.stdout.strip()


def _finish(run: RunDir, name: str, command: Sequence[str], console: Console) -> int:
    console.print(f"{name}: {run.path}", markup=False)
    status = finish(run, command)
    if status.state == "succeeded":
        return DONE
    if status.state == "cancelled":
        console.print("rlvr-demo: stopped; the same command goes on from here")
        return STOPPED
    why = status.error.message if status.error else status.state
    console.print(f"rlvr-demo: {name} failed: {why}", markup=False)
    return FAILED


def _show(
    runs: dict[int, RunDir], controls: dict[int, RunDir], split: Split, console: Console
) -> None:
    points = [p for seed, run in runs.items() for p in read_points(run, controls.get(seed), seed)]
    Console(width=max(console.width, 150)).print(table(points, split.said))
    for run in [*runs.values(), *controls.values()]:
        report = run.path / "report.html"
        console.print(f"report: {report if report.exists() else run.path}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
