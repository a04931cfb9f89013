"""Which launchers the settings turn on."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.jobs.launchers.make import make_launchers
from service.settings import load_settings


def test_without_further_settings_jobs_run_on_this_machine(tmp_path: Path) -> None:
    assert list(make_launchers(load_settings(home=tmp_path))) == ["local"]


def test_an_image_turns_kubernetes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERISQL_KUBERNETES_IMAGE", "verisql:1")
    monkeypatch.setenv("VERISQL_KUBERNETES_VOLUMES", f"home:{tmp_path}")
    assert set(make_launchers(load_settings(home=tmp_path))) == {"local", "kubernetes"}


def test_a_home_that_trainers_would_not_see_stops_the_service_from_starting(
    tmp_path: Path,
) -> None:
    settings = load_settings(home=tmp_path, kubernetes={"image": "i", "volumes": "home:/other"})
    with pytest.raises(SettingsError, match="VERISQL_KUBERNETES_VOLUMES=home:/other"):
        make_launchers(settings)
