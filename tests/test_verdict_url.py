"""Addresses that verdicts may come from: in a spec, in the settings, in the check of a new job."""

import pytest
from pydantic import ValidationError

from service.errors import SettingsError, UnsupportedValue
from service.jobs.checks import check_verify_url
from service.jobs.launchers.elsewhere import environment_elsewhere
from service.jobs.launchers.local import environment_of_trainer
from service.jobs.spec import JobSpec
from service.jobs.verdict_url import KEY_VARIABLE, service_url
from service.settings import load_settings

ASKED = {"base_model": "m", "train_data": "t"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://gpu:8000", "http://gpu:8000"),
        ("HTTPS://GPU:8000/", "https://gpu:8000"),
        ("http://gpu/verify", "http://gpu"),
        ("http://gpu/Reward//verify/batch/", "http://gpu/Reward"),
        ("http://[::1]:80/verify", "http://[::1]:80"),
    ],
)
def test_equal_services_have_equal_addresses(given: str, url: str) -> None:
    assert JobSpec.model_validate(ASKED | {"verify_url": given}).verify_url == url
    assert service_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gpu:8000", "must be http://HOST"),
        ("ftp://gpu/verify", "must be http://HOST"),
        ("file:///etc/passwd", "must be http://HOST"),
        ("http:///verify", "must be http://HOST"),
        ("http://gpu:port", "must be http://HOST"),
        ("http://gpu:0", "must be http://HOST"),
        ("http://[gpu", "must be http://HOST"),
        ("http://gpu\\@evil", "must be http://HOST"),
        ("http://gpu/a b", "must be http://HOST"),
        ("http://gp\nu", "must be http://HOST"),
        ("http://gpü", "must be http://HOST"),
        ("http://gpu/?to=http://evil", "nothing stands behind the path"),
        ("http://gpu#x", "nothing stands behind the path"),
        ("http://me:hunter2@gpu/verify", "no user and no password: the key is VERISQL_VERIFY_KEY"),
        ("http://gpu/" + "x" * 2048, "at most 2048 characters"),
        ("", "must be http://HOST"),
    ],
)
def test_what_is_no_address_of_a_service_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(ASKED | {"verify_url": url})
    (error,) = caught.value.errors()
    assert (error["loc"], said in error["msg"]) == (("verify_url",), True)
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize("patience", [0, -1, 86_401])
def test_patience_has_bounds(patience: float) -> None:
    with pytest.raises(ValidationError, match="verify_patience_s"):
        JobSpec.model_validate(ASKED | {"verify_patience_s": patience})


def test_a_job_may_name_the_services_of_the_settings_and_no_other() -> None:
    known = load_settings(verify_urls="http://gpu:8000/verify, https://Far/,").verify_url_list
    assert known == ("http://gpu:8000", "https://far")
    check_verify_url("http://gpu:8000", known)
    check_verify_url(None, ())
    for url, listed in [("http://gpu", known), ("http://169.254.169.254", ())]:
        with pytest.raises(UnsupportedValue, match="VERISQL_VERIFY_URLS") as caught:
            check_verify_url(url, listed)
        assert caught.value.param == "verify_url"
        assert caught.value.message.endswith(", ".join(listed) or "none")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"verify_urls": "http://gpu,me:hunter2@gpu"}, "VERISQL_VERIFY_URLS: each address must be"),
        ({"verify_urls": "http://me:hunter2@gpu"}, "VERISQL_VERIFY_URLS: each address must hold"),
        ({"verify_key": "hunter2\n\n2"}, "VERISQL_VERIFY_KEY is empty or has"),
        ({"verify_key": " "}, "VERISQL_VERIFY_KEY is empty or has"),
    ],
)
def test_wrong_settings_are_named_and_no_secret_is_repeated(
    settings: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(**settings)
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_the_key_is_not_shown() -> None:
    assert "between-us" not in repr(load_settings(verify_key="between-us"))


def test_the_key_reaches_a_trainer_of_this_machine_and_is_not_sent_elsewhere() -> None:
    outer = {KEY_VARIABLE: "between-us", "VERISQL_API_KEYS": "ours"}
    here = environment_of_trainer(outer, cpus=1)
    assert (here[KEY_VARIABLE], "ours" in here.values()) == ("between-us", False)
    assert KEY_VARIABLE not in environment_elsewhere(outer)
