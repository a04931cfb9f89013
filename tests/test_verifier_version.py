"""The verifier's version is raised with whatever changes a verdict: it is tied to recorded ones."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import FLAGS, METRICS, Status
from service.text2sql.verifier import VERSION, Verifier
from tests.recorded_verdicts import Case, digest, judged_anew, recorded

VERSIONS: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "cases" / "verifier_version.yaml").read_text()
)
ON_TIME = {"timeout", "gold_timeout", "infra_error"}  # such verdicts depend on the machine


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """The table, judged now."""
    return judged_anew(tmp_path_factory.mktemp("recorded"), recorded())


@pytest.mark.parametrize("place", range(len(recorded())))
def test_a_verdict_is_the_recorded_one(place: int, anew: list[Case]) -> None:
    assert anew[place] == recorded()[place], "on purpose? see tests/cases/verifier_version.yaml"


def test_the_version_is_the_last_one_and_stands_for_the_recorded_verdicts() -> None:
    assert list(VERSIONS)[-1] == VERSION
    assert VERSIONS[VERSION] == digest(recorded())
    assert len(set(VERSIONS.values())) == len(VERSIONS)


def test_a_verdict_that_changes_changes_the_digest() -> None:
    cases = recorded()
    cases[0]["report"]["verdicts"][0]["reward"] = 0.5
    assert digest(cases) != digest(recorded())


def test_the_table_has_every_metric_and_status_that_does_not_depend_on_time() -> None:
    cases = recorded()
    metrics = {name for case in cases for name in case["request"].get("metrics", ["bird_ex"])}
    verdicts = [verdict for case in cases for verdict in case["report"]["verdicts"]]
    assert metrics == set(METRICS) - {"bird_r_ves"}
    assert {verdict["status"] for verdict in verdicts} == set(get_args(Status)) - ON_TIME
    flags = {flag for verdict in verdicts for flag in verdict["flags"]}
    assert flags >= set(FLAGS) - {"ties_unchecked"}


def test_the_version_is_part_of_every_report(registry: DatabaseRegistry) -> None:
    verifier = Verifier(registry, Executor(workers=1, limits=Limits()))
    assert f"+verdicts-{VERSION}.sqlite-" in verifier.version
