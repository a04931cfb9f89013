"""`verisql eval`: how often the served model is right, on a file of questions."""

import hashlib
from typing import Any

from service.commands import eval_options as o
from service.commands.eval_run import Evaluation, run
from service.commands.eval_show import show_accuracy
from service.commands.options import DEFAULT_METRICS, Key, Metrics, Url, address
from service.demo import questions_path
from service.text2sql.evaluation.manifest import Plan
from service.text2sql.questions import read_questions


def evaluation(
    file: o.File = None,
    limit: o.Limit = None,
    sample: o.SampleSize = None,
    sample_seed: o.SampleSeed = 0,
    database: o.Databases = None,
    metric: Metrics = None,
    n: o.Count = None,
    temperature: o.Temperature = None,
    seed: o.Seed = None,
    max_tokens: o.MaxTokens = None,
    vote: o.Vote = None,
    repair: o.Repair = None,
    template: o.Template = None,
    values: o.Values = None,
    clarify: o.Clarify = None,
    verified: o.Verified = None,
    model: o.Model = None,
    concurrency: o.Concurrency = 8,
    deadline_s: o.Deadline = 600.0,
    output: o.Output = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Execution accuracy of the served model, per difficulty, with 95 % intervals.

    Options of the answer that are not given are left to the service. With --output the run may be
    ended at any time, and the same command goes on with it. Ends with 1 if the service failed, 2
    if the request was wrong.
    """
    given = {
        "n": n, "temperature": temperature, "seed": seed, "max_tokens": max_tokens, "vote": vote,
        "repair": repair, "template": template, "values": values, "clarify": clarify,
        "verified": verified, "model": model,
    }  # fmt: skip
    options: dict[str, Any] = {name: v for name, v in given.items() if v is not None}
    metrics = list(dict.fromkeys(metric or DEFAULT_METRICS))
    path = file or questions_path()
    questions = read_questions(path)
    placed = o.chosen(questions, database or [], limit, sample, sample_seed)
    selection = {"limit": limit, "sample": sample, "sample_seed": sample and sample_seed,
                 "databases": database}  # fmt: skip
    plan = Plan(
        file=f"{path.resolve().parent.name}/{path.name}",
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        in_file=len(questions),
        places=tuple(place for place, _ in placed),
        selection={name: v for name, v in selection.items() if v is not None},
        settings={"metrics": metrics, **options},
    )
    asked = Evaluation(plan, questions, placed, metrics, options, output)
    show_accuracy(run(asked, address(url, api_key), concurrency, deadline_s), metrics)
