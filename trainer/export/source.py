"""Which checkpoint is exported, and the run that it comes from."""

from dataclasses import dataclass
from pathlib import Path

from service.jobs.rundir import RunDir
from trainer.errors import ExportRefused
from trainer.report.facts import Facts, Row, read_facts


@dataclass(frozen=True, slots=True)
class Source:
    """One checkpoint with all that its run says about itself."""

    facts: Facts
    number: int
    checkpoint: Path

    @property
    def manifest(self) -> Row:
        """Of the checkpoint."""
        return self.facts.manifests.get(self.number, {})

    @property
    def is_adapter(self) -> bool:
        """False if all weights were trained."""
        return (self.checkpoint / "adapter_config.json").is_file()

    @property
    def start_was_best(self) -> str | None:
        """`base` or `parent` where evaluate found no checkpoint better than where the run began."""
        return start_was_best(self.facts)

    @property
    def template(self) -> str:
        """Of the prompts that the policy was trained with."""
        named = [found["policy"].get("template") for found in self._ended()]
        return str(named[-1]) if named and named[-1] else self.facts.settings.template

    def _ended(self) -> list[Row]:
        stages = self.facts.stages.values()
        return [found for found in stages if isinstance(found.get("policy"), dict)]


def find_source(folder: Path, checkpoint: int | None = None) -> Source:
    """From a run's folder, or from that of one of its checkpoints.

    Without a number it is the run's best checkpoint, if one was chosen, else the newest. Raises
    ExportRefused for a number or a run without one, and where no number is given and nothing that
    was trained did better on dev than what the run began with; InvalidRequest for a folder without
    job.json.
    """
    folder = folder.resolve()
    if folder.parent.name == "checkpoints" and folder.name.startswith("step_"):
        checkpoint = int(folder.name.removeprefix("step_"))
        folder = folder.parents[1]
    run = RunDir(folder)
    facts = read_facts(run)
    known = run.checkpoints()
    number = _chosen(facts, known) if checkpoint is None else checkpoint
    if number not in known:
        there = ", ".join(map(str, known)) or "none"
        raise ExportRefused(
            f"{folder} has no checkpoint {number}; there are: {there}", param="checkpoint"
        )
    return Source(facts, number, run.checkpoints_path / f"step_{number}")


def start_was_best(facts: Facts) -> str | None:
    """`base` or `parent` where evaluate found no checkpoint better than where the run began."""
    numbers = facts.numbers("evaluate")
    if "best" not in numbers or numbers.get("best_checkpoint") is not None:
        return None
    return str(numbers["best"])


def _chosen(facts: Facts, known: list[int]) -> int | None:
    if (start := start_was_best(facts)) and known:
        there = ", ".join(map(str, known))
        raise ExportRefused(
            f"on dev no checkpoint did better than {start}: say which one to export all the same, "
            f"with --checkpoint; there are: {there}",
            param="checkpoint",
        )
    best = facts.status.best_checkpoint
    ended = [found.get("policy") for found in facts.stages.values()]
    told = [policy.get("checkpoint") for policy in ended if isinstance(policy, dict)]
    found = [best, *reversed(told), *reversed(known)]
    return next((number for number in found if number is not None), None)
