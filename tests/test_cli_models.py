"""`verisql models` against a running service whose model server takes adapters."""

from collections.abc import Iterator

import pytest

from tests.fixtures_adapters import tiny_adapter
from tests.fixtures_engine import EngineDouble
from tests.test_cli import _verisql
from tests.test_serve import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("cli") / "home"
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


def test_what_is_refused_says_why(service: Service) -> None:
    at = ("--url", service.url)
    assert "VERISQL_MAX_LORA_RANK" in _verisql("models", "register", "wide", *at).stderr
    assert "unknown_model" in _verisql("models", "activate", "nobody", *at).stderr
    assert _verisql("models", "register", "mine", "--metadata", "[]", *at).returncode == 2
