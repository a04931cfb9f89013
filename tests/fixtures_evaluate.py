"""What the tests of `evaluate` and `select` share: questions, a context, models that know SQL."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec, RunRequest
from tests.fixtures_trainer import write_pets
from trainer.context import Context, Policy, StageResult
from trainer.dataset import Messages
from trainer.sampling import Complete, Written
from trainer.stopping import Stopper
from trainer.verifier_thread import VerifierThread


def pets_dev(path: Path, count: int) -> Path:
    """Questions on the pets, `pet 0?`, `pet 1?` and so on; each has another number as its gold."""
    rows = [
        {
            "question_id": f"q{n}",
            "db_id": "pets",
            "question": f"pet {n}?",
            "SQL": f"SELECT {n}, name FROM pets",
            "difficulty": ("simple", "moderate")[n % 3 == 0],
        }
        for n in range(count)
    ]
    path.write_text(json.dumps(rows))
    return path


def number_in(messages: Messages) -> int:
    """The question's, told from its prompt."""
    last = messages[-1]["content"].strip().splitlines()[-1]
    return int(last.removeprefix("-- pet ").removesuffix("?"))


@dataclass
class Knows:
    """A model that answers right where `right` says so, and keeps what it was asked."""

    right: Callable[[int], bool]
    asked: list[int] = field(default_factory=list)
    temperatures: set[float] = field(default_factory=set)
    stop_after: int | None = None
    """Questions after which it is killed."""

    def __call__(
        self, prompts: Sequence[Messages], *, n: int, max_tokens: int, temperature: float
    ) -> list[list[Written]]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.temperatures.add(temperature)
        numbers = [number_in(messages) for messages in prompts]
        self.asked += numbers
        return [[written(self._sql(number))] for number in numbers]

    def _sql(self, number: int) -> str:
        return f"SELECT {number if self.right(number) else -1}, name FROM pets"


def written(sql: str) -> Written:
    """A completion of four tokens."""
    return Written(f"```sql\n{sql}\n```", [1, 2, 3, 4], [-0.5] * 4, finished=True)


def opener(models: Callable[[Policy], Complete]) -> Any:
    """What opens the model of a policy."""

    def opened(policy: Policy) -> AbstractContextManager[Complete]:
        return nullcontext(models(policy))

    return opened


@contextmanager
def dev_context(
    folder: Path,
    model: Path,
    *,
    count: int = 20,
    recipe: Sequence[str] = ("evaluate",),
    other_models: dict[str, Path] | None = None,
    **hyperparameters: Any,
) -> Iterator[Context]:
    """A context of a run on `count` questions; a folder that has a run goes on with it."""
    data = folder / "data" if (folder / "data").exists() else write_pets(folder)
    spec = JobSpec.model_validate(
        {
            "recipe": list(recipe),
            "base_model": "tiny",
            "train_data": "none",
            "dev_data": "dev",
            "hyperparameters": hyperparameters,
        }
    )
    request = RunRequest(
        job_id="job_test",
        spec=spec,
        base_model_path=model,
        train_data_path=folder / "none.json",
        dev_data_path=pets_dev(folder / "dev.json", count),
        other_models=other_models or {},
        data_dirs=[data],
    )
    run = RunDir(folder / "run")
    run.path.mkdir(exist_ok=True)
    with VerifierThread([data], workers=2, limits=request.limits) as verifier:
        policy = Policy(
            base_model="tiny", base_model_path=model, template=spec.hyperparameters.template
        )
        yield Context(
            run=run,
            request=request,
            verifier=verifier,
            stopper=Stopper(),
            policy=policy,
            steps=0,
        )


def checkpoint(context: Context, number: int) -> Path:
    """A folder that stands for a checkpoint; its weights are its number."""
    folder = context.run.checkpoints_path / f"step_{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(str(number).encode())
    return folder


def trained(context: Context, **ends: int) -> dict[str, StageResult]:
    """Results of stages that ended at these steps, in their order."""
    return {
        stage: StageResult(
            stage=stage,  # type: ignore[arg-type]
            policy=context.policy.model_copy(update={"checkpoint": end}),
            steps=end,
        )
        for stage, end in ends.items()
    }
