"""openapi.yaml and docs/api.md are what the app says."""

from pathlib import Path

from service import errors
from tests.openapi_document import as_yaml

ROOT = Path(__file__).parents[1]


def test_openapi_yaml_is_generated_from_the_app() -> None:
    assert (ROOT / "openapi.yaml").read_text() == as_yaml(), "run `make openapi`"


def test_every_error_code_is_unique_and_documented() -> None:
    classes = [errors.VeriSQLError]
    for known in classes:
        classes += known.__subclasses__()
    codes = [known.code for known in classes]
    assert len(set(codes)) == len(codes)
    documented = (ROOT / "docs" / "api.md").read_text()
    for known in classes:
        assert f"| `{known.code}` | {known.http_status} |" in documented, known.code
        assert known.code in (errors.__doc__ or "")
