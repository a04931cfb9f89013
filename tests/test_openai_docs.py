"""The examples of docs/openai.md work as they stand, and its tables are complete."""

import json
import re
from pathlib import Path

import httpx
import pytest

from service.protocols.openai_request import NEUTRAL, ChatBody, ChatOptions
from tests.fixtures_engine import EngineDouble
from tests.fixtures_openai import KEY
from tests.test_serve import Service

PAGE = (Path(__file__).parents[1] / "docs" / "openai.md").read_text()
SQL = "SELECT count(*) FROM store"


def _example(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


# The example leaves its client to the end of the program, as people do.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_python_example_runs(
    openai_service: Service, says: EngineDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    says.text = f"```sql\n{SQL}\n```"
    code = _example("python").replace("http://localhost:8000", openai_service.url)
    exec(compile(code.replace('"none"', repr(KEY)), "docs/openai.md", "exec"), {})
    lines = capsys.readouterr().out.split("\n")
    assert lines[:3] == ["```sql", SQL, "```"]
    assert re.fullmatch(r"\[\[\d+\]\]", lines[3])
    assert lines[4:] == ["```sql", SQL, "```"]


def test_the_curl_example_is_a_request(openai_service: Service) -> None:
    found = re.search(r"-d '(.*?)'", _example("bash"), re.DOTALL)
    assert found
    url = f"{openai_service.url}/v1/chat/completions"
    headers = {"Authorization": f"Bearer {KEY}"}
    response = httpx.post(url, json=json.loads(found[1]), headers=headers, timeout=60)
    assert response.status_code == 200, response.text


def test_every_field_is_documented() -> None:
    for name in (*ChatBody.model_fields, *ChatOptions.model_fields):
        assert f"`{name}`" in PAGE, name
    assert set(NEUTRAL) < set(ChatBody.model_fields)
