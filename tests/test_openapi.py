"""openapi.yaml and docs/api.md are what the app says."""

from pathlib import Path

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


def test_every_field_of_a_job_is_documented_with_its_default() -> None:
    documented = (ROOT / "docs" / "train-jobs.md").read_text()
    for name, field in Hyperparameters.model_fields.items():
        shown = f"`{field.default}`" if isinstance(field.default, str) else f"{field.default:g}"
        assert f"| `{name}` | {shown} |" in documented, name
    assert all(f"`{name}`" in documented for name in JobSpec.model_fields)
