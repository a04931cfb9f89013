"""Settings come from the environment, bounded, and say what is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import PREFIX, load_settings, table
from service.text2sql.prompt import DEFAULT

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PORT": "99999"}, "VERISQL_PORT='99999'"),
        ({"WORKERS": "many"}, "VERISQL_WORKERS='many'"),
        ({"PROT": "1"}, "did you mean VERISQL_PORT"),
        ({"HOST": "0.0.0.0"}, "VERISQL_API_KEYS is empty"),
        ({"ENGINE": "url"}, "contradicts VERISQL_ENGINE_URL"),
        ({"ENGINE": "off", "ENGINE_URL": "http://x"}, "contradicts VERISQL_ENGINE_URL"),
        ({"ENGINE": "gpu"}, "VERISQL_ENGINE='gpu'"),
        ({"REJECT_FLAGS": "constant"}, "VERISQL_REJECT_FLAGS=constant: 'constant' is not a flag"),
        ({"REJECT_FLAGS": "coincidence,Typo"}, "'Typo' is not a flag; known: empty_equals_empty"),
        ({"RAY_URL": "ray-head:8265"}, "VERISQL_RAY_URL='ray-head:8265'"),
        ({"RAY_TOKEN": "s"}, "VERISQL_RAY_TOKEN is set and VERISQL_RAY_URL is not"),
        ({"RAY_URL": "http://x", "RAY_TOKEN": "s\n"}, "VERISQL_RAY_TOKEN is empty or has"),
        ({"PROMPT_TEMPLATE": "xml"}, "VERISQL_PROMPT_TEMPLATE: 'xml' is not a prompt template"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings()


def test_the_token_of_ray_is_not_shown() -> None:
    loaded = load_settings(ray_url="http://ray-head:8265", ray_token="between-us")
    assert "between-us" not in repr(loaded)


def test_flags_to_reject_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().policy.reject_flags == frozenset()
    monkeypatch.setenv("VERISQL_REJECT_FLAGS", "constant_only, order_ignored,")
    assert load_settings().policy.reject_flags == {"constant_only", "order_ignored"}


def test_the_prompts_template_may_be_named_without_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings(model="qwen2.5-coder-0.5b-instruct").template == DEFAULT
    monkeypatch.setenv("VERISQL_PROMPT_TEMPLATE", "light+examples")
    assert str(load_settings().template) == "light-v1+examples"


def test_a_flag_that_is_not_known_stops_the_service_from_starting(tmp_path: Path) -> None:
    variables = {"VERISQL_HOME": str(tmp_path), "VERISQL_REJECT_FLAGS": "coincidence,made_up"}
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "VERISQL_REJECT_FLAGS" in done.stderr
    assert "'made_up' is not a flag" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_engine_url_alone_means_that_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().engine == "local"
    monkeypatch.setenv("VERISQL_ENGINE_URL", "http://gpu:8001/v1")
    assert load_settings().engine == "url"


def test_keys_open_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERISQL_HOST", "0.0.0.0")
    monkeypatch.setenv("VERISQL_API_KEYS", "one, two")
    assert load_settings().api_key_set == {"one", "two"}


def test_several_data_folders_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERISQL_DATA_DIR", "/a:/b/c:")
    assert load_settings().data_dirs == [Path("/a"), Path("/b/c")]


@pytest.mark.parametrize(
    ("variable", "attribute"),
    [("HOME", "home_path"), ("MODELS_DIR", "models_path"), ("DATA_DIR", "data_dirs")],
)
def test_the_folder_of_a_user_who_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, attribute: str
) -> None:
    monkeypatch.setenv(PREFIX + variable, "~nosuchuser/x")
    with pytest.raises(SettingsError, match=f"VERISQL_{variable}=~nosuchuser/x"):
        getattr(load_settings(), attribute)


def test_an_override_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERISQL_PORT", "1")
    assert load_settings(port=2).port == 2


def test_the_documentation_names_every_setting_with_its_line() -> None:
    assert table() in (ROOT / "docs" / "settings.md").read_text()


def test_nothing_else_reads_a_variable_of_the_environment() -> None:
    # Handing the whole environment on to a child, or setting a library's switch, is no reading.
    reads = re.compile(r"environ\.get|getenv\(|environ\[[^]]+\](?!\s*=[^=])")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("service", "trainer")
        for path in (ROOT / folder).rglob("*.py")
        if reads.search(path.read_text())
    }
    # child.py puts this project in front of the PYTHONPATH that it hands on.
    # ranks.py reads which of several processes this is, as torchrun tells each of them.
    # verdict_source.py reads the key of who judges, which may be in no file of the run.
    allowed = {
        "service/settings.py",
        "service/models/child.py",
        "trainer/scale/ranks.py",
        "trainer/verdict_source.py",
    }
    assert found <= allowed


def test_value_indexes_lie_beside_their_databases_unless_a_folder_is_named(tmp_path: Path) -> None:
    assert load_settings().index_path is None
    assert load_settings(index_dir=tmp_path / "a" / ".." / "b").index_path == tmp_path / "b"
