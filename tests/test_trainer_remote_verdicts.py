"""Verdicts of a real service over HTTP, beside those of the same verifier in process."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.sandbox.limits import Limits
from service.text2sql.types import VerifyReport
from tests.fixtures_remote import (
    COUNT,
    DEMO,
    ENDLESS,
    KEY,
    LISTED,
    in_process,
    judging_service,
    port_of,
)
from tests.fixtures_trainer import write_pets
from tests.test_serve import Service
from trainer.errors import VerifierAway, VerifierDiffers, VerifierRefused
from trainer.offline.consensus import agreed
from trainer.remote_verdicts import RemoteVerdicts
from trainer.rewards import ExecutionReward, coincidences, reward_task
from trainer.verdict_source import VerdictSource
from trainer.verifier_thread import VerifierThread

GOLDS = {
    "count": [COUNT],
    "names": ["SELECT name FROM store ORDER BY name", "SELECT name, id FROM store"],
    "broken": ["SELECT nothing FROM store"],
}
COMPLETIONS = [
    COUNT,
    f"```sql\n{COUNT}\n```",
    "<answer>SELECT name FROM store</answer>",
    "SELECT 9",
    "SELECT 8",
    "SELECT '\ud83d' FROM store",
    "I cannot say.",
    "```sql\nSELEC\n```",
    "DROP TABLE store",
    f"```sql\n{ENDLESS}\n```",
    "",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judging") / "home"


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    started = judging_service(home)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def verifier(
    home: Path, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VerifierThread]:
    with in_process(home, tmp_path_factory.mktemp("run")) as started:
        yield started


@pytest.fixture
def remote(service: Service, verifier: VerifierThread) -> Iterator[RemoteVerdicts]:
    with RemoteVerdicts(service.url, KEY, verifier, patience_s=60) as opened:
        yield opened


def _rewards(
    source: VerdictSource, copies: int = 0, completions: Sequence[str] = COMPLETIONS
) -> tuple[list[float | None], ExecutionReward]:
    """Every completion for every gold, as TRL asks."""
    reward = ExecutionReward(source.verify, copies=copies)
    pairs = [(name, text) for name in GOLDS for text in completions]
    golds = [GOLDS[name] for name, _ in pairs]
    texts, names = [text for _, text in pairs], [name for name, _ in pairs]
    return reward(texts, [DEMO] * len(pairs), golds, names), reward


@pytest.mark.parametrize("copies", [0, 3])
def test_rewards_and_verdicts_are_those_in_process(
    remote: RemoteVerdicts, verifier: VerifierThread, copies: int
) -> None:
    remote.check([DEMO, "nowhere"], copies)
    (far, asked), (near, judged) = _rewards(remote, copies), _rewards(verifier, copies)
    assert far == near
    assert {1.0, 0.0, None} == set(far)
    there, here = asked.take(), judged.take()
    for one, other in zip(there, here, strict=True):
        assert one.completion == other.completion
        for name in ("status", "masked", "metrics", "flags", "sql", "robust", "message"):
            assert getattr(one.verdict, name) == getattr(other.verdict, name), one
    assert coincidences(there) == coincidences(here) == (1 if copies else 0)
    assert remote.version == verifier.version


def test_agreement_without_gold_is_that_in_process(
    remote: RemoteVerdicts, verifier: VerifierThread
) -> None:
    texts = [text for text in COMPLETIONS if ENDLESS not in text]  # each is a gold once: 60 s
    far, near = (agreed(DEMO, texts, source.verify) for source in (remote, verifier))
    told = [(verdict.status, verdict.reward, verdict.sql) for verdict in far]
    assert told == [(verdict.status, verdict.reward, verdict.sql) for verdict in near]
    assert {1.0, 0.0} <= {reward for _, reward, _ in told}


def test_a_service_that_is_killed_in_the_middle_is_waited_for(
    home: Path, verifier: VerifierThread
) -> None:
    slow = [ENDLESS.replace("FROM n)", f"FROM n WHERE i < {10**6 + n})") for n in range(8)]
    golds, first = [[sql] for sql in slow], judging_service(home)
    with (
        RemoteVerdicts(first.url, KEY, verifier, patience_s=120) as remote,
        ThreadPoolExecutor(1) as pool,
    ):
        tasks = [reward_task(DEMO, gold, gold, copies=0) for gold in golds]
        waiting = pool.submit(remote.verify, tasks)
        _wait_until_busy(first)
        first.kill()
        time.sleep(1)
        assert not waiting.done()
        again = judging_service(home, port_of(first))
        try:
            assert [_told(report) for report in waiting.result(120)] == [("match", 1.0)] * 8
        finally:
            again.kill()


def _wait_until_busy(service: Service) -> None:
    asked = {"url": f"{service.url}/metrics", "headers": {"Authorization": f"Bearer {KEY}"}}
    deadline = time.monotonic() + 60
    while "verisql_workers_busy 1.0" not in httpx.get(**asked).text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _told(report: VerifyReport) -> tuple[str, float | None]:
    return report.verdicts[0].status, report.verdicts[0].reward


def test_a_service_that_stays_away_is_an_error_and_no_reward(
    home: Path, verifier: VerifierThread
) -> None:
    started = judging_service(home)
    with RemoteVerdicts(started.url, KEY, verifier, patience_s=60) as remote:
        _rewards(remote, completions=[COUNT])
    started.kill()
    with RemoteVerdicts(started.url, KEY, verifier, patience_s=2) as remote:
        began = time.monotonic()
        with pytest.raises(VerifierAway) as caught:
            _rewards(remote, completions=[COUNT])
    assert 0.5 < time.monotonic() - began < 30
    assert (caught.value.code, caught.value.param) == ("verifier_away", "verify_url")
    assert started.url in caught.value.message
    assert "no service answers" in caught.value.message


@pytest.mark.parametrize("key", [None, "not-ours"])
def test_a_refusal_ends_it_at_once_and_repeats_no_key(
    service: Service, verifier: VerifierThread, key: str | None
) -> None:
    with (
        RemoteVerdicts(service.url, key, verifier, patience_s=60) as remote,
        pytest.raises(VerifierRefused) as caught,
    ):
        remote.check([DEMO], 0)
    assert f"{service.url} will not judge: unauthorized" in caught.value.message
    assert "not-ours" not in caught.value.message


def test_a_path_that_is_no_verifier_is_refused(service: Service, verifier: VerifierThread) -> None:
    url = f"{service.url}/elsewhere"
    with (
        RemoteVerdicts(url, KEY, verifier, patience_s=60) as remote,
        pytest.raises(VerifierRefused, match="not_found"),
    ):
        remote.check([DEMO], 0)


def test_another_file_of_the_database_is_refused(tmp_path: Path) -> None:
    here, there = write_pets(tmp_path / "here"), write_pets(tmp_path / "there")
    path = there / "pets" / "pets.sqlite"
    path.write_bytes(path.read_bytes().replace(b"Mia", b"Mio"))
    with VerifierThread([here], workers=1, limits=Limits()) as verifier:
        started = judging_service(tmp_path / "home", VERISQL_DATA_DIR=str(there))
        try:
            with (
                RemoteVerdicts(started.url, KEY, verifier, patience_s=60) as remote,
                pytest.raises(VerifierDiffers, match=r"'pets' of http.* give both the same file"),
            ):
                remote.check(["pets"], 0)
        finally:
            started.kill()


@pytest.mark.parametrize(
    ("url", "param"), [(f"{LISTED}/verify", "base_model"), ("http://169.254.169.254", "verify_url")]
)
def test_a_service_makes_trainers_call_listed_addresses_only(
    service: Service, url: str, param: str
) -> None:
    asked = {"base_model": "no such model", "train_data": "demo", "verify_url": url}
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{service.url}/train-jobs", json=asked, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
