"""What a run does with answers that a real service seldom gives; the server here is a double."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest

from service.errors import SettingsError
from service.jobs.spec import JobSpec
from service.jobs.verdict_url import KEY_VARIABLE
from service.sandbox.limits import Limits
from service.text2sql.types import VerifyTask
from tests.fixtures_reward import Act, Items, RewardDouble, refuses
from tests.fixtures_trainer import write_pets
from trainer.errors import VerifierAway, VerifierDiffers, VerifierRefused
from trainer.remote_verdicts import RemoteVerdicts
from trainer.rewards import reward_task
from trainer.verdict_source import verdict_source
from trainer.verifier_thread import VerifierThread

COUNT = "SELECT count(*) FROM pets"
WRONG = "SELECT 4"
Answer = Callable[[Items], Act]


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = write_pets(tmp_path_factory.mktemp("faults"))
    with VerifierThread([data], workers=1, limits=Limits()) as started:
        yield started


@pytest.fixture
def truth(verifier: VerifierThread) -> Answer:
    """The reports of a service like this process, for tasks without copies."""

    def answer(items: Items) -> Act:
        tasks = [
            VerifyTask(item["db_id"], tuple(item["gold_sql"]), tuple(item["predictions"]))
            for item in items
        ]
        reports = [asdict(report) for report in verifier.verify(tasks)]
        return Act(lines=[{"index": n, **report} for n, report in enumerate(reports)])

    return answer


def failing(code: str) -> Act:
    error = {"code": code, "message": "so it is", "param": None, "request_id": "r1"}
    return Act(lines=[{"index": 0, "error": error}])


def ask(
    verifier: VerifierThread, double: RewardDouble, *, copies: int = 0, patience_s: float = 30
) -> list[tuple[str, float | None]]:
    task = reward_task("pets", [COUNT], [COUNT, WRONG], copies=copies)
    with RemoteVerdicts(double.url, None, verifier, patience_s=patience_s) as remote:
        (report,) = remote.verify([task])
    return [(verdict.status, verdict.reward) for verdict in report.verdicts]


def test_the_request_leaves_nothing_to_the_services_settings(
    verifier: VerifierThread, truth: Answer
) -> None:
    with RewardDouble(truth) as double:
        assert ask(verifier, double, copies=2)[1] == ("mismatch", 0.0)
    ((item,),) = double.requests
    assert item["robust"] == {"instances": 2, "seed": 0}
    assert (item["reject_flags"], item["timeout_s"]) == ([], Limits().query_timeout_s)
    assert "authorization" not in double.headers[0]


@pytest.mark.parametrize(
    ("field", "told"),
    [("verifier_version", "judges with the verifier 0.0.9"), ("database_sha256", "SHA-256 0.0.9")],
)
def test_an_answer_of_another_verifier_or_database_is_no_verdict(
    verifier: VerifierThread, truth: Answer, field: str, told: str
) -> None:
    def other(items: Items) -> Act:
        return Act(lines=[line | {field: "0.0.9"} for line in truth(items).lines or []])

    with RewardDouble(other) as double, pytest.raises(VerifierDiffers, match=told):
        ask(verifier, double)
    assert len(double.requests) == 1


def test_an_answer_that_is_no_report_is_refused(verifier: VerifierThread, truth: Answer) -> None:
    def odd(items: Items) -> Act:
        (line,) = truth(items).lines or []
        verdicts = [verdict | {"status": "perfect"} for verdict in line["verdicts"]]
        return Act(lines=[line | {"verdicts": verdicts}])

    with RewardDouble(odd) as double, pytest.raises(VerifierRefused, match="bad_answer"):
        ask(verifier, double)


def test_a_redirect_is_not_followed(verifier: VerifierThread) -> None:
    with RewardDouble() as other:
        away = Act(status=307, headers={"location": f"{other.url}/verify/batch"})
        with RewardDouble(away) as double, pytest.raises(VerifierRefused, match="bad_answer"):
            ask(verifier, double)
        assert other.requests == []


@pytest.mark.parametrize("code", ["internal_error", "unknown_database", "database_unusable"])
def test_an_item_that_is_refused_ends_the_run(verifier: VerifierThread, code: str) -> None:
    with RewardDouble(failing(code)) as double, pytest.raises(VerifierRefused, match=code):
        ask(verifier, double)


def test_a_busy_service_is_waited_for(verifier: VerifierThread, truth: Answer) -> None:
    busy: list[Any] = [refuses(503, "unavailable"), *[failing("no_free_worker")] * 5]
    with RewardDouble(*busy, Act(lines=[], cut=True), truth) as double:
        assert ask(verifier, double) == [("match", 1.0), ("mismatch", 0.0)]
    assert len(double.requests) == 8


@pytest.mark.parametrize(
    "act",
    [failing("no_free_worker"), refuses(503, "unavailable"), Act(lines=[], hang=True)],
    ids=["busy", "starting", "silent"],
)
def test_a_service_without_a_verdict_for_too_long_is_given_up(
    verifier: VerifierThread, act: Act
) -> None:
    began = time.monotonic()
    with RewardDouble(*[act] * 50) as double, pytest.raises(VerifierAway, match=double_url(double)):
        ask(verifier, double, patience_s=1.5)
    assert 0.5 < time.monotonic() - began < 15


def double_url(double: RewardDouble) -> str:
    return rf"{double.url} gave no verdict for 1\.5 s"


@pytest.mark.parametrize("errors", [["database_unusable"], ["unavailable"] * 8])
def test_a_match_without_copies_over_there_is_masked_as_it_is_in_process(
    verifier: VerifierThread, truth: Answer, errors: list[str]
) -> None:
    with RewardDouble(*map(failing, errors), truth) as double:
        found = ask(verifier, double, copies=2)
    assert found == [("infra_error", None), ("mismatch", 0.0)]
    assert [items[0]["robust"] is None for items in double.requests] == [False] * len(errors) + [
        True
    ]


def spec(url: str | None, **more: Any) -> JobSpec:
    given = {"base_model": "m", "train_data": "t", "verify_url": url}
    return JobSpec.model_validate(given | more)


def test_without_an_address_this_process_judges(verifier: VerifierThread) -> None:
    with verdict_source(spec(None), verifier, []) as source:
        assert source is verifier


def test_the_key_comes_from_the_environment(
    verifier: VerifierThread, truth: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, " between-us\n")
    with RewardDouble(truth) as double, verdict_source(spec(double.url), verifier, []) as source:
        source.verify([reward_task("pets", [COUNT], [COUNT], copies=0)])
    assert "authorization: bearer between-us\r\n" in double.headers[0]


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_not_repeated(
    verifier: VerifierThread, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with (
        pytest.raises(SettingsError) as caught,
        verdict_source(spec("http://127.0.0.1:1"), verifier, []),
    ):
        pass
    assert (caught.value.param, key != "" and key in str(caught.value)) == (KEY_VARIABLE, False)
