"""A real run whose completions are judged by a real service, which dies in the middle."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.jobs.rundir import RunDir
from service.jobs.verdict_url import KEY_VARIABLE
from tests.fixtures_remote import KEY, judging_service, port_of
from tests.fixtures_trainer import bandit_model, make_run, train, trainer, wait_until
from tests.test_trainer_recipe import RECIPE, SETTINGS, numbers

pytestmark = pytest.mark.training

STEPS = 8
ASKED: dict[str, Any] = {"recipe": RECIPE, "max_steps": STEPS, "reward_copies": 2, **SETTINGS}


def manifests(run: RunDir) -> list[dict[str, Any]]:
    paths = [run.checkpoints_path / f"step_{step}" for step in run.checkpoints()]
    return [json.loads((path / "manifest.json").read_bytes()) for path in paths]


def test_a_run_fails_when_its_service_dies_and_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bandit_model(tmp_path / "model")
    near = make_run(tmp_path / "near", model, **ASKED)
    assert train(near).state == "succeeded"
    data = {"VERISQL_DATA_DIR": str(near.request().data_dirs[0])}
    service = judging_service(tmp_path / "home", **data)
    about = {"verify_url": f"{service.url}/verify", "verify_patience_s": 20}
    far = make_run(tmp_path / "far", model, about=about, **ASKED)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with trainer(far) as process:
        steps = len(near.metrics()) - STEPS + 1
        wait_until(process, lambda: len(far.metrics()) >= steps, f"step {steps}")
        service.kill()
        assert process.wait(timeout=120) == 1
    status = far.status()
    assert status is not None
    assert status.error is not None
    assert (status.state, status.error.code) == ("failed", "verifier_away")
    assert service.url in status.error.message
    assert KEY not in far.log_tail() + far.path.joinpath("job.json").read_text()

    again = judging_service(tmp_path / "home", port_of(service), **data)
    try:
        assert train(far).state == "succeeded"
    finally:
        again.kill()
    assert numbers(far) == numbers(near)
    (version,) = {made["verifier_version"] for made in manifests(far)}
    assert version == manifests(near)[0]["verifier_version"]
