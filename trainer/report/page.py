"""A training run's report as one HTML page, safe whatever questions and completions hold."""

from pathlib import Path

from service.pages.document import document, numbers, safe
from trainer.report.accuracy import accuracy_section
from trainer.report.axes import short
from trainer.report.cost import costs, number
from trainer.report.examples import examples_section
from trainer.report.facts import Facts
from trainer.report.measured import best, policies
from trainer.report.offline import offline_section
from trainer.report.origin import cost_section, manifest_section, run_section
from trainer.report.selection import selection_section
from trainer.report.training import training_section

_HERE = Path(__file__).parent


def as_html(facts: Facts) -> bytes:
    """UTF-8, without any other file or host."""
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    sections = (
        accuracy_section,
        training_section,
        examples_section,
        offline_section,
        selection_section,
        cost_section,
        run_section,
        manifest_section,
    )
    body = "".join(section(facts) for section in sections)
    return document(f"Training run {facts.request.spec.name}", _lead(facts), body, css)


def _lead(facts: Facts) -> str:
    spec, state = facts.request.spec, facts.status.state
    told = f"{spec.base_model}: {', '.join(spec.recipe)}"
    unfinished = (
        f'<p class="soft">The run is {safe(state)} at step {facts.status.step} of '
        f"{facts.status.max_steps}: this is what there is so far.</p>"
        if state != "succeeded"
        else ""
    )
    return f'<p class="soft">{safe(told)}</p>{unfinished}{numbers(_boxes(facts))}'


def _boxes(facts: Facts) -> dict[str, object]:
    measured = policies(facts.numbers("evaluate"))
    named = {one.name: one.share for one in measured if one.share is not None}
    chosen = best(facts.numbers("evaluate"))
    found: dict[str, object] = {}
    for label, share in (
        ("base", measured and measured[0].share),
        ("best", named.get(str(chosen))),
    ):
        if share is not None and share != []:
            found[f"dev accuracy, {label}"] = f"{share:.1%}"
    rewards = [r for row in facts.metrics if (r := number(row.get("reward"))) is not None]
    if rewards:
        found["reward, first and last step"] = f"{short(rewards[0])}, {short(rewards[-1])}"
    spent = costs(facts)
    found["steps"] = f"{sum(cost.steps for cost in spent):,}"
    found["hours"] = f"{sum(cost.hours for cost in spent):,.2f}"
    return found
