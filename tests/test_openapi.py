"""openapi.yaml and docs/api.md are what the app says."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from service import errors
from service.jobs.spec import Hyperparameters, JobSpec
from tests.openapi_document import as_yaml

ROOT = Path(__file__).parents[1]


def test_openapi_yaml_is_generated_from_the_app() -> None:
    assert (ROOT / "openapi.yaml").read_text() == as_yaml(), "run `make openapi`"


def test_every_error_code_is_unique_and_documented() -> None:
    classes = [errors.VeriSQLError]
    for known in classes:
        classes += known.__subclasses__()
    codes = [known.code for known in classes if "code" in vars(known)]  # others inherit theirs
    assert len(set(codes)) == len(codes)
    documented = (ROOT / "docs" / "api.md").read_text()
    for known in classes:
        assert f"| `{known.code}` | {known.http_status} |" in documented, known.code
        assert known.code in (errors.__doc__ or "")


def _settings(model: type[BaseModel]) -> Iterator[tuple[str, object]]:
    """Every name with its default, those of the stages' own objects too."""
    for name, field in model.model_fields.items():
        yield name, field.default
        if isinstance(field.default, BaseModel):
            yield from _settings(type(field.default))


def _shown(default: object) -> str | None:
    """As the tables have it; None where a table names more than one or says it in words."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:g}"
    return f"`{default}`" if isinstance(default, str) else None


def test_every_field_of_a_job_is_documented_with_its_default() -> None:
    documented = (ROOT / "docs" / "train-jobs.md").read_text()
    for name, default in _settings(Hyperparameters):
        assert f"`{name}`" in documented, name
        rows = [line for line in documented.splitlines() if line.startswith(f"| `{name}` |")]
        shown = _shown(default)
        assert not rows or shown is None or any(f"| {shown} |" in row for row in rows), name
    assert all(f"`{name}`" in documented for name in JobSpec.model_fields)
