"""Every environment variable that VeriSQL reads (VERISQL_*), typed, bounded, one line each.

This is the only module that looks at the environment. docs/settings.md holds the same table;
a test compares the two.
"""

import difflib
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import ModelUnavailable, SettingsError, UnsupportedValue
from service.jobs.settings import JobSettings
from service.models.catalogue import DEFAULT_MODEL
from service.models.tuned import default_template
from service.sandbox.limits import Limits
from service.text2sql.policy import Policy
from service.text2sql.prompt import DEFAULT, Template
from service.text2sql.types import FLAGS, Flag

PREFIX = "VERISQL_"


class Settings(JobSettings, BaseSettings):
    """Read once at start, frozen, passed down."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        # VERISQL_KUBERNETES_IMAGE is `kubernetes.image`: groups are one level deep.
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )

    home: Annotated[Path, Field(description="Folder for everything that the service writes.")] = (
        Path("~/.verisql")
    )
    models_dir: Annotated[
        Path | None, Field(description="Cache of model weights; default `<home>/models`.")
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="Port; 0 takes a free one.")] = 8000
    api_keys: Annotated[
        str, Field(description="Accepted keys, comma separated; required off loopback.")
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level logged.")
    ] = "info"
    data_dir: Annotated[
        str, Field(description="Folders with databases, `:` between them; the demo is built in.")
    ] = ""
    values: Annotated[
        bool, Field(description="Put values of the database that a question names into prompts.")
    ] = True
    index_dir: Annotated[
        Path | None, Field(description="Folder of value indexes; default beside each database.")
    ] = None
    max_request_mb: Annotated[
        int, Field(ge=1, le=1024, description="Largest request body, MiB.")
    ] = 64

    workers: Annotated[
        int, Field(ge=1, le=256, description="SQL statements that run at once; default: CPU cores.")
    ] = Field(default_factory=lambda: os.cpu_count() or 1)
    worker_memory_mb: Annotated[
        int, Field(ge=128, le=65_536, description="Address space of one worker, MiB.")
    ] = 1024
    max_queued: Annotated[
        int, Field(ge=1, le=100_000, description="Verify tasks waiting before a 503.")
    ] = 256
    queue_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Longest wait for a SQL worker, seconds.")
    ] = 60.0
    max_predictions: Annotated[
        int, Field(ge=1, le=65_536, description="Predictions in one /verify request.")
    ] = 1024
    max_items: Annotated[
        int, Field(ge=1, le=1_000_000, description="Items in one /verify/batch request.")
    ] = 4096
    verdict_cache_mb: Annotated[
        int, Field(ge=0, le=65_536, description="Verdicts kept in memory, MiB; 0 keeps none.")
    ] = 64
    reject_flags: Annotated[
        str, Field(description="Flags that turn a match into reward 0, comma separated.")
    ] = ""
    max_audit_questions: Annotated[
        int, Field(ge=1, le=1_000_000, description="Questions in one /audit request.")
    ] = 20_000
    audit_timeout_s: Annotated[
        float, Field(gt=0, le=86_400, description="Longest run of golds in /audit, seconds.")
    ] = 1800.0
    query_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Processor time of one prediction, seconds.")
    ] = 30.0
    gold_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Processor time of one gold query, seconds.")
    ] = 60.0

    group_timeout_s: Annotated[
        float, Field(gt=0, le=86_400, description="Longest /verify request, seconds.")
    ] = 110.0

    engine: Annotated[
        Literal["local", "url", "off"] | None,
        Field(description="`local` starts vLLM, `url` uses one, `off`: a reward service alone."),
    ] = None
    engine_url: Annotated[
        str | None,
        Field(description="OpenAI-compatible servers, comma separated, e.g. `http://gpu:8001/v1`."),
    ] = None
    engine_api_key: Annotated[str | None, Field(description="Bearer token for the engine URL.")] = (
        None
    )
    tokenizer: Annotated[
        str | None,
        Field(description="Counts tokens for an engine URL: a model here or a `tokenizer.json`."),
    ] = None
    model: Annotated[
        str, Field(description="A known or tuned model, a local folder, or a hub id at a revision.")
    ] = DEFAULT_MODEL
    max_model_len: Annotated[
        int, Field(ge=512, le=1_048_576, description="Prompt plus completion, tokens.")
    ] = 4096
    engine_kv_cache_gb: Annotated[
        float, Field(gt=0, le=1024, description="KV cache of the CPU engine, GiB.")
    ] = 1.0
    engine_start_timeout_s: Annotated[
        float, Field(gt=0, le=7200, description="Longest engine start, warm-up included, seconds.")
    ] = 600.0
    generate_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Longest generation, seconds.")
    ] = 120.0
    engine_first_token_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Longest wait for a stream's first token, seconds.")
    ] = 60.0
    engine_stall_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Longest silence of the model, seconds.")
    ] = 30.0
    adapters: Annotated[
        bool | None,
        Field(description="Start vLLM with room for adapters; default: where one is registered."),
    ] = None
    adapters_dir: Annotated[
        Path | None, Field(description="Folder of adapters to register; default `<home>/adapters`.")
    ] = None
    max_adapters: Annotated[
        int, Field(ge=3, le=64, description="Adapters loaded at once, the live one included.")
    ] = 4
    max_lora_rank: Annotated[
        int, Field(ge=1, le=256, description="Largest rank of an adapter.")
    ] = 16
    canary_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Longest trial of a model, seconds.")
    ] = 180.0
    canary_questions: Annotated[
        int, Field(ge=1, le=40, description="Questions of a trial, on the demo database.")
    ] = 8
    canary_drop: Annotated[
        float, Field(ge=0, le=1, description="How far fewer queries may run than the live model's.")
    ] = 0.0
    canary_logprob_tolerance: Annotated[
        float, Field(gt=0, le=100, description="Nats per token between trainer and server.")
    ] = 0.1
    answer_timeout_s: Annotated[
        float, Field(gt=0, le=7200, description="Longest /generate request, seconds.")
    ] = 300.0
    max_question_chars: Annotated[
        int, Field(ge=1, le=1_000_000, description="Longest question or evidence, characters.")
    ] = 8000

    prompt_template: Annotated[
        str | None,
        Field(description="How schema and question are written; default: as the model knows it."),
    ] = None

    store_url: Annotated[
        str | None,
        Field(description="Store of jobs and feedback, PostgreSQL or a file; default in `<home>`."),
    ] = None
    keep_answers: Annotated[
        int, Field(ge=0, le=10_000_000, description="Answers kept for feedback; 0 turns it off.")
    ] = 10_000
    keep_answers_days: Annotated[
        float, Field(gt=0, le=3650, description="Longest time that an answer is kept, days.")
    ] = 30.0

    @model_validator(mode="before")
    @classmethod
    def _resolve_engine(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("engine"):
            values["engine"] = "url" if values.get("engine_url") else "local"
        return values

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if (self.engine == "url") != bool(self.engine_urls):
            raise ValueError(
                f"VERISQL_ENGINE={self.engine} contradicts VERISQL_ENGINE_URL="
                f"{self.engine_url or '(unset)'}: `url` needs an address, the others take none"
            )
        if not _is_loopback(self.host) and not self.api_key_set:
            raise ValueError(
                f"VERISQL_HOST={self.host} is not loopback and VERISQL_API_KEYS is empty: "
                "set at least one key, or listen on 127.0.0.1"
            )
        _ = self.policy, self.template
        return self

    @property
    def home_path(self) -> Path:
        """VERISQL_HOME, expanded and absolute."""
        return _absolute("home", self.home)

    @property
    def models_path(self) -> Path:
        """Where converted model weights are kept."""
        return _absolute("models_dir", self.models_dir or self.home_path / "models")

    @property
    def index_path(self) -> Path | None:
        """The folder of VERISQL_INDEX_DIR, expanded and absolute; None is beside each database."""
        return _absolute("index_dir", self.index_dir) if self.index_dir else None

    @property
    def runs_path(self) -> Path:
        """Where run directories of training jobs are kept."""
        return self.home_path / "runs"

    @property
    def adapters_path(self) -> Path:
        """Where adapters are looked for that have no other place."""
        return _absolute("adapters_dir", self.adapters_dir or self.home_path / "adapters")

    @property
    def registered_path(self) -> Path:
        """Where the copies of registered adapters are kept."""
        return self.home_path / "registered"

    @property
    def store_address(self) -> str:
        """SQLAlchemy URL of the store of jobs and feedback."""
        return self.store_url or f"sqlite+aiosqlite:///{self.home_path / 'verisql.db'}"

    @property
    def data_dirs(self) -> list[Path]:
        """The folders of VERISQL_DATA_DIR, expanded and absolute."""
        names = [n for n in self.data_dir.split(os.pathsep) if n.strip()]
        return [_absolute("data_dir", Path(n)) for n in names]

    @property
    def api_key_set(self) -> frozenset[str]:
        """The keys of VERISQL_API_KEYS."""
        return frozenset(k.strip() for k in self.api_keys.split(",") if k.strip())

    @property
    def engine_urls(self) -> list[str]:
        """The addresses of VERISQL_ENGINE_URL; raises ValueError when one is given twice."""
        urls = [url.strip() for url in (self.engine_url or "").split(",") if url.strip()]
        roots = [url.rstrip("/").removesuffix("/v1") for url in urls]
        if twice := [url for i, url in enumerate(urls) if roots[i] in roots[:i]]:
            raise ValueError(
                f"{PREFIX}ENGINE_URL names {twice[0]} twice: give each address once, with a comma "
                "between two"
            )
        return urls

    @property
    def policy(self) -> Policy:
        """What the verifier does where a request does not say; raises ValueError."""
        names = frozenset(name.strip() for name in self.reject_flags.split(",") if name.strip())
        if unknown := sorted(names.difference(FLAGS)):
            raise ValueError(
                f"{PREFIX}REJECT_FLAGS={self.reject_flags}: {unknown[0]!r} is not a flag; "
                f"known: {', '.join(FLAGS)}"
            )
        flags = cast(frozenset[Flag], names)
        return Policy(reject_flags=flags, cache_bytes=self.verdict_cache_mb * 2**20)

    @property
    def template(self) -> Template:
        """The template of prompts, by default the one that the model was trained with.

        A server behind a URL serves some other model unless VERISQL_MODEL names one. Raises
        ValueError.
        """
        try:
            if self.prompt_template is not None:
                return Template.parse(self.prompt_template)
            ours = self.engine == "local" or "model" in self.model_fields_set
            return default_template(self.model) if ours else DEFAULT
        except ModelUnavailable as error:
            raise ValueError(f"{PREFIX}MODEL={self.model}: {error}") from error
        except UnsupportedValue as error:
            raise ValueError(f"{PREFIX}PROMPT_TEMPLATE: {error}") from error

    @property
    def limits(self) -> Limits:
        """What the sandbox enforces."""
        return Limits(
            query_timeout_s=self.query_timeout_s,
            gold_timeout_s=self.gold_timeout_s,
            group_timeout_s=self.group_timeout_s,
            memory_mb=self.worker_memory_mb,
        )


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment; raises SettingsError naming the variable and the value."""
    _refuse_unknown()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(e) for e in error.errors())) from error


def _refuse_unknown() -> None:
    known = {variable for variable, _ in _variables()}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ", see docs/settings.md"
            raise SettingsError(f"{name} is not a setting of VeriSQL{hint}", param=name)


def _explain(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "value_error":  # Of a whole group; its message names what is wrong.
        return f"{name}_" + str(error["msg"]).removeprefix("Value error, ")
    return f"{name}={error['input']!r}: {error['msg']}"


def _absolute(field: str, path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # no such user, no home folder, a circle of links
        raise SettingsError(f"{PREFIX}{field.upper()}={path}: {error}", param=field) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variables() -> Iterator[tuple[str, FieldInfo]]:
    """Every variable with its field, those of groups too."""
    named = Settings.model_fields.items()
    for name, field in sorted(named, key=lambda pair: pair[0] in JobSettings.model_fields):
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, part in group.model_fields.items():
                yield f"{PREFIX}{name}_{inner}".upper(), part
        else:
            yield PREFIX + name.upper(), field


def table() -> str:
    """The settings as the Markdown rows of docs/settings.md."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for variable, field in _variables():
        default = "" if field.default_factory or field.default in (None, "") else field.default
        shown = f"`{default}`" if default != "" else "-"
        rows.append(f"| `{variable}` | {shown} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
