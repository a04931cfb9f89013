"""Sections of the card on use: how to load it, how good it is, where it ends, where it is from."""

import json
from collections.abc import Iterable, Mapping, Sequence

from service.errors import VeriSQLError
from service.pages.texts import one_line
from trainer.data_files import questions_of
from trainer.export.about import About
from trainer.export.base import PublicBase
from trainer.export.source import Source
from trainer.report.measured import Measured, Paired, differences, metric, policies
from trainer.versions import versions

_LIMITS = (
    "It writes SQLite, one query an answer, for the prompt named above; with another prompt the "
    "numbers do not hold.",
    "Execution accuracy is measured on the databases as they are: a wrong query may give the "
    "right rows by chance.",
    "The intervals are of these questions. Other schemas, languages and ways to ask can be much "
    "harder.",
    "Nothing in it keeps a query from being slow, or from reading what its reader should not see: "
    "run what it writes read-only, with limits and the rights of whoever asks.",
)


def loading_section(source: Source, base: PublicBase, *, merged: bool) -> str:
    """Code that loads it, and the prompt it was trained with."""
    named = {"base": json.dumps(one_line(base.name)), "commit": _literal(base.revision)}
    program = _MERGED if merged else _ADAPTER.format(**named)
    served = "" if merged else f"\n\nWith VeriSQL serving the same base:\n\n{_SERVED}"
    return (
        f"## Load\n\n```python\n{program}```{served}\n\nPrompts are those of VeriSQL's template "
        f"{code(source.template)}; decode greedily."
    )


def numbers_section(source: Source) -> str:
    """Accuracy before and after, and the paired differences."""
    numbers = source.facts.numbers("evaluate")
    found = policies(numbers)
    if not found:
        return "## Numbers\n\nThis run has not been evaluated."
    told = (
        f"## Numbers\n\nExecution accuracy ({code(metric(numbers))}, greedy, one "
        f"generation){_on(source)}; Wilson's 95 % intervals.\n\n"
        + table(["policy", "accuracy", "95 % interval", "right of judged"], map(_policy, found))
        + _not_better(source)
    )
    pairs = differences(numbers)
    if not pairs:
        return told
    return (
        f"{told}\n\nThe same questions, paired: Newcombe's interval, McNemar's exact p.\n\n"
        + table(["from", "to", "points", "95 % interval", "won, lost", "p"], map(_pair, pairs))
    )


def _not_better(source: Source) -> str:
    start = source.start_was_best
    return f"\n\n**On dev no checkpoint did better than {code(start)}.**" if start else ""


def limits_section(about: About) -> str:
    """What it is not good for."""
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in (*_LIMITS, *about.limits))


def origin_section(source: Source, base: PublicBase, hashes: Mapping[str, str]) -> str:
    """Hashes, versions, seed."""
    told = {
        "base model": f"{base.name} at {base.revision or 'no commit known'}",
        "base weights made from": base.weights,
        "base weights' SHA-256": source.manifest.get("base_weights_sha256"),
        "job": source.facts.request.job_id,
        "checkpoint": source.number,
        "seed": source.facts.request.spec.seed,
        "verifier": source.manifest.get("verifier_version"),
        "packages in training": _packages(source.manifest.get("packages")),
        "packages at export": _packages(versions()),
        **{f"SHA-256 of {name}": digest for name, digest in hashes.items()},
    }
    rows = ([name, code(value)] for name, value in told.items() if value is not None)
    return "## Origin\n\n" + table(["what", "value"], rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(columns), ["---"] * len(columns), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(value: object) -> str:
    """Any text as a code span that nothing in it can leave, on one line."""
    text = one_line(str(value)).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"


def _on(source: Source) -> str:
    """Where it was measured, and whether those databases were trained on, by the files."""
    request = source.facts.request
    if request.dev_data_path is None:
        return ""
    told = f" on {code(request.dev_data_path.name)}"
    try:
        dev = {question.db_id for question in questions_of(request, "dev")}
        train = {question.db_id for question in questions_of(request, "train")}
    except (OSError, VeriSQLError):
        return told
    if not dev & train:
        return f"{told}, {len(dev)} databases of which none was trained on"
    return f"{told}, of whose {len(dev)} databases {len(dev & train)} were trained on"


def _policy(found: Measured) -> list[str]:
    if found.share is None:
        return [code(found.name), "none", "none", "0 of 0"]
    low, high = found.interval
    counts = f"{found.right} of {found.judged}"
    return [code(found.name), f"{found.share:.1%}", f"{low:.1%} to {high:.1%}", counts]


def _pair(found: Paired) -> list[str]:
    low, high = (100 * bound for bound in found.interval)
    return [
        code(found.a),
        code(found.b),
        f"{100 * found.difference:+.1f}",
        f"{low:+.1f} to {high:+.1f}",
        f"{found.only_b}, {found.only_a}",
        f"{found.p_value:.2g}",
    ]


def _packages(told: object) -> str | None:
    """None of a checkpoint that does not say."""
    return ", ".join(f"{k} {v}" for k, v in told.items()) if isinstance(told, dict) else None


def _literal(revision: str | None) -> str:
    return "None" if revision is None else json.dumps(revision)


_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

name, commit = {base}, {commit}
tokenizer = AutoTokenizer.from_pretrained(name, revision=commit)
model = AutoModelForCausalLM.from_pretrained(name, revision=commit, dtype="bfloat16")
model = PeftModel.from_pretrained(model, "this-folder")
"""
_MERGED = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this-folder")
model = AutoModelForCausalLM.from_pretrained("this-folder", dtype="bfloat16")
"""
_SERVED = """\
```
verisql models register tuned --path this-folder
verisql models activate tuned
```"""
