"""The card's front matter: what the Hugging Face hub reads."""

from huggingface_hub import EvalResult, ModelCardData

from service.pages.texts import one_line
from trainer.export.about import About
from trainer.export.base import PublicBase
from trainer.export.source import Source
from trainer.report.measured import Measured, metric, policies

_TAGS = ("text-to-sql", "sql", "rlvr", "verisql")


def card_name(source: Source, base: PublicBase, about: About) -> str:
    """What the model is called: text on one line."""
    usual = f"{base.name.rpartition('/')[2]}-{source.facts.request.spec.name}"
    return one_line(about.name or usual)


def front_matter(source: Source, base: PublicBase, about: About, *, merged: bool) -> str:
    """YAML between two lines of dashes. Fields as the hub's docs on model cards name them."""
    request = source.facts.request
    results = _results(source)
    data = ModelCardData(
        model_name=card_name(source, base, about),
        base_model=one_line(base.name),
        base_model_relation="finetune" if merged else "adapter",
        license=one_line(about.license or base.license),
        datasets=[one_line(name) for name in about.datasets or [request.train_data_path.stem]],
        language=one_line(about.language),
        library_name="transformers" if merged else "peft",
        pipeline_tag="text-generation",
        tags=[*_TAGS, *(stage for stage in request.spec.recipe if stage in ("offline", "grpo"))],
        metrics=[_metric(source)] if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def exported_policy(source: Source) -> Measured | None:
    """The exported checkpoint's own accuracy on dev, if it was measured."""
    found = policies(source.facts.numbers("evaluate"))
    return next((policy for policy in found if policy.checkpoint == source.number), None)


def _results(source: Source) -> list[EvalResult]:
    policy, dev = exported_policy(source), source.facts.request.dev_data_path
    if policy is None or policy.share is None or dev is None:
        return []
    low, high = policy.interval
    found = EvalResult(
        task_type="text-generation",
        task_name="Text-to-SQL",
        dataset_type=one_line(dev.stem),
        dataset_name=one_line(dev.name),
        dataset_split="dev",
        metric_type="execution_accuracy",
        metric_name=f"{_metric(source)}, greedy, one generation, "
        f"95 % interval {low:.1%} to {high:.1%}, n={policy.judged}",
        metric_value=round(policy.share, 4),
    )
    return [found]


def _metric(source: Source) -> str:
    return one_line(metric(source.facts.numbers("evaluate")))
