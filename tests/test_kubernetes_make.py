"""When the settings turn the Kubernetes launcher on."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.jobs.launchers.kubernetes.make import kubernetes_launcher
from service.settings import load_settings


def test_without_an_image_there_is_no_such_launcher(tmp_path: Path) -> None:
    assert kubernetes_launcher(load_settings(home=tmp_path)) is None


def test_an_image_turns_kubernetes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERISQL_KUBERNETES_IMAGE", "verisql:1")
    monkeypatch.setenv("VERISQL_KUBERNETES_VOLUMES", f"home:{tmp_path}")
    assert kubernetes_launcher(load_settings(home=tmp_path)) is not None


def test_a_home_that_trainers_would_not_see_stops_the_service_from_starting(
    tmp_path: Path,
) -> None:
    settings = load_settings(home=tmp_path, kubernetes={"image": "i", "volumes": "home:/other"})
    with pytest.raises(SettingsError, match="VERISQL_KUBERNETES_VOLUMES=home:/other"):
        kubernetes_launcher(settings)
