"""Which values a question names, against the table of cases, on a real database."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.text2sql.values.match import ValueMatch
from tests.fixtures_values import ask, values

TABLE = yaml.safe_load((Path(__file__).parent / "cases" / "values.yaml").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]

Asked = dict[str, list[ValueMatch]]


def database(folder: Path, script: str = TABLE["database"], name: str = "world") -> Path:
    path = folder / name / f"{name}.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("values")
    texts = [case["text"] for case in CASES]
    found, _ = ask(database(folder / "data"), folder / "home", texts)
    return {case["name"]: matches for case, matches in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_text_names(case: dict[str, Any], answers: Asked) -> None:
    assert sorted(values(answers[case["name"]])) == sorted(case["finds"])


def test_scores_lie_between_0_and_1_and_fall(answers: Asked) -> None:
    for matches in answers.values():
        scores = [match.score for match in matches]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score <= 1 for score in scores)


def test_equal_values_score_1_and_misspelt_ones_less(answers: Asked) -> None:
    assert [m.score for m in answers["capitals"]] == [1.0]
    assert [m.score for m in answers["blanks around the value"]] == [1.0]
    (misspelt,) = answers["a misspelt word"]
    assert (misspelt.phrase, 0.8 <= misspelt.score < 0.9) == ("grece", True)
    assert 0.9 < answers["accents and apostrophes"][0].score < 1


def test_a_column_that_the_question_mentions_comes_first(tmp_path: Path) -> None:
    path = database(tmp_path / "data")
    texts = ["the first name paris", "the city name paris"]
    (first, city), _ = ask(path, tmp_path / "home", texts)
    assert values(first)[0] == "singer.first_name=Paris"
    assert values(city)[0] == "city.city_name=Paris"


def test_each_phrase_gets_its_best_value_before_one_gets_a_second(tmp_path: Path) -> None:
    path = database(tmp_path / "data")
    (found,), _ = ask(path, tmp_path / "home", ["paris in greece"], limit=2)
    assert {match.phrase for match in found} == {"paris", "greece"}


def test_a_long_text_ends(tmp_path: Path) -> None:
    path = database(tmp_path / "data")
    quotes = "'greece" * 3000 + " ' " * 3000 + "`" * 1000
    words = " ".join(f"grece{n} paris" for n in range(5000))
    found, _ = ask(path, tmp_path / "home", [quotes, words, "x" * 100_000])
    assert values(found[1])[0] == "city.city_name=Paris"
    assert found[2] == []
