"""Dev in train: by database, by question, by file; and what may be alike."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from service.sandbox.limits import Limits
from service.text2sql.layouts import Split
from service.text2sql.questions import Question, read_questions
from tests.conftest import SHOP
from tests.test_labelled_pairs import DATA
from trainer.errors import DevLeaksIntoTrain
from trainer.leaks import refuse_leaks
from trainer.verifier_thread import VerifierThread

GOLD = "SELECT count(*) FROM customer"
SPLITS: tuple[Split, Split] = ("train", "dev")
SCRIPTS = {
    "shop": SHOP,
    "same_tables": f"{SHOP} DELETE FROM orders WHERE id = 4;",
    "newer": f"{SHOP} ALTER TABLE orders ADD COLUMN paid DATE;",
    "other": "CREATE TABLE customer (id, name, age); INSERT INTO customer VALUES (1, 'Ada', 30);",
}


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = tmp_path_factory.mktemp("leaks")
    for db_id, script in SCRIPTS.items():
        (data / db_id).mkdir()
        with closing(sqlite3.connect(data / db_id / f"{db_id}.sqlite")) as connection:
            connection.executescript(script)
    (data / "same_bytes").mkdir()
    shutil.copy(data / "shop" / "shop.sqlite", data / "same_bytes" / "same_bytes.sqlite")
    with VerifierThread([data], workers=2, limits=Limits()) as started:
        yield started


def question(db_id: str, text: str = "How many customers are there?") -> Question:
    return Question(f"{db_id}-1", db_id, text, GOLD)


@pytest.mark.parametrize(
    ("db_id", "how"),
    [
        ("shop", "database shop"),
        ("same_bytes", "the same file as shop"),
        ("same_tables", "the same tables and columns as shop"),
    ],
)
def test_a_shared_database_is_refused_by_name_by_bytes_and_by_schema(
    verifier: VerifierThread, db_id: str, how: str
) -> None:
    train, dev = [question("other"), question(db_id, "Who?")], [question("shop", "Where?")]
    with pytest.raises(DevLeaksIntoTrain) as caught:
        refuse_leaks(train, dev, verifier)
    assert f"1 databases: {db_id} (in dev: {how})" in caught.value.message
    assert "leave these out of train_data" in caught.value.message
    assert (caught.value.code, caught.value.param) == ("dev_leaks_into_train", "dev_data")


@pytest.mark.parametrize("text", ["how many CUSTOMERS are there", "How many customers were there?"])
def test_a_question_on_a_version_of_the_database_is_refused_in_other_dress(
    verifier: VerifierThread, text: str
) -> None:
    with pytest.raises(DevLeaksIntoTrain) as caught:
        refuse_leaks([question("newer", text)], [question("shop")], verifier)
    assert "1 questions: newer-1 on newer (in dev: shop-1 on shop" in caught.value.message


def test_other_questions_on_a_version_of_the_database_are_no_leak(verifier: VerifierThread) -> None:
    refuse_leaks([question("newer", "Which orders were paid?")], [question("shop")], verifier)


def test_on_databases_known_to_be_the_same_a_question_on_both_sides_is_still_a_leak(
    verifier: VerifierThread,
) -> None:
    train, others = [question("shop")], [question("shop", "Which orders are open?")]
    refuse_leaks(train, others, verifier, same_databases=True)
    dev = [*others, question("shop", "how many Customers are there")]
    with pytest.raises(DevLeaksIntoTrain, match="share 1 questions: shop-1 on shop"):
        refuse_leaks(train, dev, verifier, same_databases=True)


def test_one_question_may_be_asked_of_two_databases(verifier: VerifierThread) -> None:
    refuse_leaks([question("other")], [question("shop")], verifier)


def test_a_database_that_is_not_there_is_known_by_its_name(verifier: VerifierThread) -> None:
    refuse_leaks([question("gone")], [question("shop")], verifier)
    with pytest.raises(DevLeaksIntoTrain, match="database gone"):
        refuse_leaks([question("gone")], [question("gone", "Who?")], verifier)


@pytest.mark.skipif(not (DATA / "train").exists(), reason="leaks of Spider: no train.json")
def test_spiders_own_split_has_no_leak() -> None:
    train, dev = (read_questions(DATA / name, name) for name in SPLITS)
    folders = [DATA / name / "databases" for name in SPLITS]
    with VerifierThread(folders, workers=2, limits=Limits()) as verifier:
        refuse_leaks(train, dev, verifier)


def test_the_message_names_five_and_counts_the_rest(verifier: VerifierThread) -> None:
    many = [question(f"db{n}") for n in range(9)]
    with pytest.raises(DevLeaksIntoTrain, match=r"9 databases: db0 .* db4 .* and 4 more\."):
        refuse_leaks(many, many, verifier)
