"""`verisql models` against a running service whose model server takes adapters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.jobs.job import Job
from tests.fixtures_adapters import tiny_adapter
from tests.fixtures_engine import EngineDouble
from tests.fixtures_promote import ended_job
from tests.test_cli import _verisql
from tests.test_serve import Service


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli") / "home"


@pytest.fixture(scope="module")
def job(home: Path) -> Job:
    return ended_job(home, [4, 8])


@pytest.fixture(scope="module")
def service(home: Path, job: Job) -> Iterator[Service]:
    tiny_adapter(home / "adapters" / "mine")
    tiny_adapter(home / "adapters" / "wide", rank=64)
    with EngineDouble("```sql\nSELECT count(*) FROM store\n```") as double:
        double.adapters = {}
        started = Service(home, VERISQL_ENGINE="url", VERISQL_ENGINE_URL=double.url)
        started.wait_until_ready()
        yield started
        started.kill()


def test_an_adapter_is_registered_activated_and_listed(service: Service) -> None:
    at = ("--url", service.url)
    done = _verisql("models", "register", "mine", "--metadata", '{"spec_sha256": "s"}', *at)
    assert done.returncode == 0, done.stderr
    assert "registered" in done.stdout
    done = _verisql("models", "activate", "mine", *at)
    assert done.returncode == 0, done.stderr
    assert "executable" in done.stdout
    assert "live: mine@" in done.stdout
    listed = _verisql("models", "list", *at).stdout
    assert "base" in listed
    assert "live" in listed


def test_a_checkpoint_is_promoted_and_rolled_back(service: Service, job: Job) -> None:
    at, name = ("--url", service.url), f"{job.id}-step-8@".lower()
    done = _verisql("jobs", "promote", job.id, "--questions", "2", "--drop", "1", *at)
    assert done.returncode == 0, done.stderr
    assert "dev_sample" in done.stdout
    assert f"live: {name}" in done.stdout
    assert f"before: {name}" in _verisql("models", "roll-back", *at).stdout
    assert "it has: 4, 8" in _verisql("jobs", "promote", job.id, "5", *at).stderr


def test_what_is_refused_says_why(service: Service) -> None:
    at = ("--url", service.url)
    assert "VERISQL_MAX_LORA_RANK" in _verisql("models", "register", "wide", *at).stderr
    assert "unknown_model" in _verisql("models", "activate", "nobody", *at).stderr
    assert _verisql("models", "register", "mine", "--metadata", "[]", *at).returncode == 2
