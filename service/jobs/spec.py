"""What to train: the job spec that POST /train-jobs takes and the trainer reads."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from service.errors import UnsupportedValue
from service.jobs.resources import Resources
from service.jobs.verdict_url import LONGEST_URL, service_url
from service.sandbox.limits import Limits
from service.strict import StrictModel
from service.text2sql.prompt import DEFAULT, Template

Stage = Literal["select", "offline", "grpo", "evaluate"]
"""The recipe's stages, in the order in which they make sense: arXiv 2509.21459, section 3."""

Integration = Literal["mlflow", "tensorboard", "wandb"]

LossType = Literal["grpo", "dr_grpo", "dapo"]

LauncherName = Literal["local", "ray", "kubernetes"]

_NEED_DEV: tuple[Stage, ...] = ("select", "evaluate")

MAX_PROMPTS = 1_000_000
"""Prompts that one job may sample from: their order is made before the first step (about 90 MB)."""
_USUAL = Limits()

ModelName = Annotated[str, Field(min_length=1, max_length=500)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Note = Annotated[str, StringConstraints(max_length=512)]


TemplateText = Annotated[
    str, Field(max_length=100, description="of the prompt: docs/prompts.md names them")
]


def known_template(text: str) -> str:
    """The template's full name; raises pydantic's error for one that does not exist."""
    try:
        return str(Template.parse(text))
    except UnsupportedValue as error:
        raise PydanticCustomError("unknown_template", "{why}", {"why": str(error)}) from error


KnownTemplate = Annotated[TemplateText, AfterValidator(known_template)]


def known_service(text: str) -> str:
    """The service's address as it is compared; raises pydantic's error for one that is none."""
    try:
        return service_url(text)
    except ValueError as error:
        raise PydanticCustomError("verify_url", "{why}", {"why": str(error)}) from error


VerifyUrl = Annotated[str, Field(max_length=LONGEST_URL), AfterValidator(known_service)]


class DataFilter(StrictModel):
    """Which questions of the training data are asked at all."""

    difficulty: Annotated[
        list[Label] | None, Field(min_length=1, max_length=16, description="only these")
    ] = None
    questions: Annotated[
        int | None,
        Field(ge=1, description="at most so many, each database its share, drawn by the seed"),
    ] = None
    min_pass_rate: Annotated[
        float,
        Field(ge=0, le=1, description="of the offline stage's candidates, in grpo; kept itself"),
    ] = 0.0
    max_pass_rate: Annotated[float, Field(ge=0, le=1, description="kept itself")] = 1.0

    @field_validator("max_pass_rate")
    @classmethod
    def _from_low_to_high(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("min_pass_rate", 0.0)
        if high < low:
            raise PydanticCustomError(
                "pass_rates", "must not be below min_pass_rate={low}", {"low": low}
            )
        return high


class SelectStage(StrictModel):
    """Base models by templates by temperatures, halved until one is left (arXiv 1502.07943)."""

    base_models: Annotated[
        list[ModelName], Field(max_length=16, description="beside `base_model`")
    ] = []
    templates: Annotated[list[KnownTemplate], Field(min_length=1, max_length=16)] = [str(DEFAULT)]
    temperatures: Annotated[
        list[Annotated[float, Field(ge=0, le=2)]],
        Field(min_length=1, max_length=8, description="0 is greedy"),
    ] = [0.0]
    questions: Annotated[int, Field(ge=1, description="dev questions of the first round")] = 50
    keep: Annotated[float, Field(gt=0, lt=1, description="share that goes on each round")] = 0.5


class OfflineStage(StrictModel):
    """Candidates, scores, an update on them: TAO as far as it is public."""

    samples: Annotated[
        int,
        Field(ge=0, le=64, description="candidates per question; 0 learns from golds alone"),
    ] = 8
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    templates: Annotated[
        list[KnownTemplate],
        Field(max_length=8, description="prompt strategies that share the samples; [] is one"),
    ] = []
    labels: Annotated[
        Literal["gold", "consensus"],
        Field(description="consensus: the result most candidates agree on, no gold needed"),
    ] = "gold"
    train_on_gold: bool = False
    objective: Annotated[
        Literal["rejection", "weighted", "dpo"], Field(description="docs/training.md has formulas")
    ] = "rejection"
    learning_rate: Annotated[float, Field(gt=0, le=1e-2)] = 1e-4
    questions_per_step: Annotated[int, Field(ge=1, le=1024)] = 16
    completions_per_question: Annotated[
        int, Field(ge=1, le=64, description="distinct ones at most")
    ] = 4
    epochs: Annotated[float, Field(gt=0, le=100)] = 1.0
    max_steps: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    dpo_beta: Annotated[float, Field(gt=0, le=10)] = 0.1

    @model_validator(mode="after")
    def _possible(self) -> "OfflineStage":
        if not self.samples and not self.train_on_gold:
            raise PydanticCustomError(
                "nothing_to_learn",
                "samples=0 leaves nothing to learn from without train_on_gold: set it to true, or "
                "samples to 1 or more",
            )
        if self.objective == "rejection":
            return self
        if self.train_on_gold:
            raise PydanticCustomError(
                "gold_objective",
                "train_on_gold goes with objective 'rejection' alone: a gold was not sampled, and "
                "{objective} needs the probabilities of the sampling",
                {"objective": self.objective},
            )
        if len(self.templates) > 1:
            raise PydanticCustomError(
                "template_objective",
                "several templates go with objective 'rejection' alone: {objective} compares with "
                "the probabilities under the prompt that is trained on",
                {"objective": self.objective},
            )
        return self

    @property
    def needs_gold(self) -> bool:
        """False where agreement alone scores and trains."""
        return self.labels == "gold" or self.train_on_gold


class EvaluateStage(StrictModel):
    """Greedy, one generation, on dev."""

    questions: Annotated[int | None, Field(ge=1, description="null asks all")] = None
    checkpoints: Annotated[
        int, Field(ge=0, le=100, description="of grpo, spread evenly, beside the last")
    ] = 2


class Hyperparameters(StrictModel):
    """Settings of all stages; those not in a stage's own object are GRPO's and what all share.

    Defaults suit the 135M model on two CPU cores.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1e-2)] = 5e-5
    group_size: Annotated[int, Field(ge=2, le=64, description="completions per prompt")] = 8
    prompts_per_step: Annotated[int, Field(ge=1, le=256)] = 2
    max_prompt_tokens: Annotated[
        int, Field(ge=64, le=32_768, description="longer prompts are left out, never cut")
    ] = 1280
    max_completion_tokens: Annotated[int, Field(ge=4, le=4096)] = 96
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    loss_type: LossType = "dapo"
    beta: Annotated[float, Field(ge=0, le=1, description="weight of the KL penalty")] = 0.0
    epsilon: Annotated[float, Field(gt=0, lt=1, description="lower clip of the ratio")] = 0.2
    epsilon_high: Annotated[float, Field(gt=0, lt=1, description="upper clip")] = 0.28
    lora_rank: Annotated[int, Field(ge=0, le=256, description="0 trains all weights")] = 16
    checkpoint_every: Annotated[int, Field(ge=1, le=10_000, description="in steps")] = 5
    reward_copies: Annotated[
        int,
        Field(ge=0, le=32, description="altered copies of the database that a match must hold on"),
    ] = 0
    warmup_steps: Annotated[int, Field(ge=0, le=10_000)] = 0
    refills: Annotated[
        int, Field(ge=0, le=16, description="how often groups without signal are asked anew")
    ] = 0
    values: Annotated[bool, Field(description="values of the database that the question names")] = (
        True
    )
    template: KnownTemplate = str(DEFAULT)
    keep_checkpoints: Annotated[
        int | None, Field(ge=1, le=10_000, description="newest ones, beside each stage's last")
    ] = None
    integrations: Annotated[
        list[Integration],
        Field(max_length=3, description="where training metrics go beside metrics.jsonl"),
    ] = []
    data: DataFilter = DataFilter()
    select: SelectStage = SelectStage()
    offline: OfflineStage = OfflineStage()
    evaluate: EvaluateStage = EvaluateStage()


class Parent(StrictModel):
    """A checkpoint of another job, whose adapter the new one starts from."""

    job_id: Annotated[str, Field(min_length=1, max_length=64)]
    step: Annotated[int, Field(ge=1, le=100_000_000)]


class JobSpec(StrictModel):
    """A training job as its creator describes it."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = "grpo"
    recipe: Annotated[
        list[Stage], Field(min_length=1, max_length=4, description="each stage once, in order")
    ] = ["grpo"]
    base_model: ModelName
    train_data: Annotated[
        str,
        Field(min_length=1, max_length=1000, description="`demo`, a file, or a dataset's folder"),
    ]
    dev_data: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            validate_default=True,
            description="for choosing and measuring, on other databases; never trained on",
        ),
    ] = None
    reward: Literal["execution"] = "execution"
    verify_url: Annotated[
        VerifyUrl | None,
        Field(description="service whose `/verify` judges completions; null: the trainer itself"),
    ] = None
    verify_patience_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="longest time without a verdict of it, seconds"),
    ] = 600.0
    hyperparameters: Hyperparameters = Hyperparameters()
    resources: Resources = Resources()
    launcher: Annotated[LauncherName, Field(description="where it runs")] = "local"
    priority: Annotated[
        int, Field(ge=-100, le=100, description="higher starts first, then the older")
    ] = 0
    max_retries: Annotated[
        int, Field(ge=0, le=10, description="new starts after its machine was taken away")
    ] = 3
    parent: Annotated[
        Parent | None, Field(description="start from another job's checkpoint (a fork)")
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    deadline_s: Annotated[
        float | None, Field(gt=0, le=90 * 86_400, description="seconds from the job's start")
    ] = None
    ttl_s: Annotated[
        float | None,
        Field(ge=0, le=3650 * 86_400, description="seconds from its end until its folder goes"),
    ] = None
    metadata: Annotated[dict[Label, Note], Field(max_length=16)] = {}

    @field_validator("recipe")
    @classmethod
    def _in_order(cls, recipe: list[Stage]) -> list[Stage]:
        order = list(get_args(Stage))
        if sorted(set(recipe), key=order.index) != recipe:
            raise PydanticCustomError(
                "recipe_order", "stages come once each, in the order {order}", {"order": order}
            )
        return recipe

    @field_validator("dev_data")
    @classmethod
    def _there_where_needed(cls, dev_data: str | None, info: ValidationInfo) -> str | None:
        needing = [stage for stage in info.data.get("recipe", ()) if stage in _NEED_DEV]
        if dev_data is None and needing:
            raise PydanticCustomError(
                "dev_data_missing",
                "the stage {stage} needs dev_data: questions on databases that are not trained on",
                {"stage": repr(needing[0])},
            )
        return dev_data

    @field_validator("resources")
    @classmethod
    def _whole_groups(cls, asked: Resources, info: ValidationInfo) -> Resources:
        chosen: Hyperparameters | None = info.data.get("hyperparameters")
        if chosen and chosen.prompts_per_step % asked.processes:
            raise PydanticCustomError(
                "prompts_per_process",
                "prompts_per_step={prompts} is no multiple of the {processes} training processes: "
                "each samples and scores whole groups",
                {"prompts": chosen.prompts_per_step, "processes": asked.processes},
            )
        return asked

    @field_validator("parent")
    @classmethod
    def _starts_from_an_adapter(cls, parent: Parent | None, info: ValidationInfo) -> Parent | None:
        chosen: Hyperparameters | None = info.data.get("hyperparameters")
        if parent and chosen and chosen.lora_rank == 0:
            raise PydanticCustomError(
                "fork_of_weights",
                "goes with lora_rank above 0 alone: it is an adapter that a fork starts from",
            )
        if parent and "select" in info.data.get("recipe", ()):
            raise PydanticCustomError(
                "fork_that_selects",
                "does not go with the stage 'select', which may choose another base model",
            )
        return parent

    @field_validator("max_steps")
    @classmethod
    def _few_enough_prompts(cls, steps: int, info: ValidationInfo) -> int:
        chosen: Hyperparameters | None = info.data.get("hyperparameters")
        per_step = chosen.prompts_per_step if chosen else 1
        if steps * per_step > MAX_PROMPTS:
            raise PydanticCustomError(
                "too_many_prompts",
                "{steps} steps of prompts_per_step={per_step} are over {most} prompts; "
                "at most {fitting} steps",
                {
                    "steps": steps,
                    "per_step": per_step,
                    "most": MAX_PROMPTS,
                    "fitting": MAX_PROMPTS // per_step,
                },
            )
        return steps

    @property
    def needs_gold(self) -> bool:
        """True where a stage judges training questions by their gold, or trains on it."""
        offline = "offline" in self.recipe and self.hyperparameters.offline.needs_gold
        return "grpo" in self.recipe or offline


class RunRequest(StrictModel):
    """`job.json` in a run directory: the spec with every name resolved to a path."""

    job_id: str
    spec: JobSpec
    base_model_path: Path
    """Folder with safetensors, tokenizer and config."""
    train_data_path: Path
    """What text2sql.questions.read_questions takes: a file, or a folder with a `train` split."""
    dev_data_path: Path | None = None
    """The same for choosing and measuring, a folder with a `dev` split; never trained on."""
    same_databases: bool = False
    """Train and dev ask different questions about the same databases, and whoever reads the result
    is told so. Only the demonstration says it, which may have one database alone; no job can."""
    other_models: dict[str, Path] = {}
    """Folders of `select.base_models`, by name."""
    parent_adapter_path: Path | None = None
    """Folder of another run's checkpoint that training starts from; None is the base model."""
    values_path: Path | None = None
    """Folder of value indexes and of their key; inside the run's own folder if None."""
    data_dirs: list[Path]
    """Folders that are scanned for databases."""
    query_timeout_s: float = _USUAL.query_timeout_s
    gold_timeout_s: float = _USUAL.gold_timeout_s
    worker_memory_mb: int = _USUAL.memory_mb

    @property
    def limits(self) -> Limits:
        """What the trainer's sandbox enforces: what that of the service does."""
        return Limits(
            query_timeout_s=self.query_timeout_s,
            gold_timeout_s=self.gold_timeout_s,
            memory_mb=self.worker_memory_mb,
        )
