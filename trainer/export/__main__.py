"""`python -m trainer.export RUN_DIR --out DIR`: a trained policy as a folder for others.

Exit codes: 0 written; 1 refused, standard error says why and nothing is left; 2 wrong arguments.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from service.errors import VeriSQLError
from trainer.errors import RunFailed
from trainer.export.about import About


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; returns the exit code."""
    given = _parser().parse_args(arguments)
    about = About(
        name=given.name,
        license=given.license,
        datasets=tuple(given.dataset),
        data_license=given.data_license,
        language=given.language,
        limits=tuple(given.limit),
    )
    try:
        _export(given, about)
    except (VeriSQLError, RunFailed) as error:
        sys.stderr.write(f"export: {error.code}: {error.message}\n")
        return 1
    return 0


def _export(given: argparse.Namespace, about: About) -> None:
    # Imported here: torch takes seconds, a misspelt option should not.
    from service.jobs.rundir import RunDir
    from trainer.export.policy import export_policy
    from trainer.export.source import find_source

    source = find_source(given.run_dir, given.checkpoint)
    base = given.base_model_path or RunDir(source.facts.path).request().base_model_path
    export_policy(
        source.checkpoint,
        base,
        given.out,
        merged=given.merged,
        about=about,
        dtype=given.dtype,
        canaries=given.canaries,
        tokenizer=not given.no_tokenizer,
    )
    if start := source.start_was_best:
        sys.stderr.write(f"export: warning: on dev no checkpoint did better than {start}\n")
    sys.stderr.write(f"export: checkpoint {source.number} is in {given.out}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run_dir", type=Path, help="a run's folder, or that of one of its checkpoints")
    add("--out", type=Path, required=True, help="must not exist")
    add("--checkpoint", type=int, help="its number; default: the best on dev, or the newest")
    add("--merged", action="store_true", help="whole weights in the place of an adapter")
    add("--dtype", choices=["bf16", "fp32"], default="bf16", help="of the adapter's weights")
    add("--canaries", type=int, choices=range(33), default=8, metavar="0..32")
    add("--no-tokenizer", action="store_true", help="the base's is used anyway (adapter only)")
    add("--base-model-path", type=Path, help="where the base is now, if not where it was")
    add("--name", help="of the model, on its card")
    add("--license", help="of the weights, as the hub names it; default: the base's")
    add("--dataset", action="append", default=[], help="name on the hub; repeatable")
    add("--data-license", help="in words")
    add("--language", default="en")
    add("--limit", action="append", default=[], help="a sentence more under Limits; repeatable")
    return parser


if __name__ == "__main__":
    sys.exit(main())
