"""Counting tokens: exactly where the model's tokenizer is here, generously where it is not."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from service.engine.make import make_engine
from service.engine.tokens import KEPT, TokenCounter, counter, upper_bound
from service.errors import SettingsError
from service.settings import load_settings

SCHEMA = "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);\n"


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    """A tokenizer of words, which would add a beginning and cut at four tokens."""
    words = {word: i for i, word in enumerate(["[UNK]", "[BOS]", "select", "1"])}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[BOS] $A", special_tokens=[("[BOS]", 1)]
    )
    made.enable_truncation(4)
    made.enable_padding(length=9)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def test_a_text_counts_without_frame_cut_or_filling(tokenizer_file: Path) -> None:
    count = TokenCounter(tokenizer_file)
    assert count("select 1") == 2
    assert count("select 1 " * 50) == 100
    assert count("") == 0


def test_a_count_is_the_same_when_asked_again(tokenizer_file: Path) -> None:
    count = TokenCounter(tokenizer_file)
    texts = [f"select {i} {i}" for i in range(KEPT + 9)]
    assert [count(text) for text in [*texts, *texts[:9]]] == [3] * (KEPT + 18)
    assert [count("select 1"), count("1"), count("select 1")] == [2, 1, 2]


def test_half_a_character_is_no_obstacle(tokenizer_file: Path) -> None:
    assert TokenCounter(tokenizer_file)("select \ud800") == 2
    assert upper_bound("\ud800") > 0


def test_a_folder_without_a_tokenizer_counts_generously(tmp_path: Path) -> None:
    assert counter(tmp_path)(SCHEMA) == upper_bound(SCHEMA)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("name", 2), ("2024", 4), ("a b", 2), ("a 1", 3), ("  \n", 1), ("é", 2)],
)
def test_the_upper_bound_by_example(text: str, tokens: int) -> None:
    assert upper_bound(text) == tokens


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\x00"])
def test_a_file_that_is_no_tokenizer_is_refused_at_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    settings = load_settings(engine_url="http://127.0.0.1:9", tokenizer=str(path), home=tmp_path)
    with pytest.raises(SettingsError, match="is no tokenizer"):
        make_engine(settings, None, print)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smollm2-135m-instruct", "fetch it with `python -m service.models smollm2"),
        ("no-such-model", "no model is named"),
        ("/no/such/tokenizer.json", "is not a folder with a model"),
    ],
)
def test_a_tokenizer_that_is_not_here_is_refused_at_start(
    tmp_path: Path, name: str, words: str
) -> None:
    settings = load_settings(engine_url="http://127.0.0.1:9", tokenizer=name, home=tmp_path)
    with pytest.raises(SettingsError, match=words):
        make_engine(settings, None, print)


def test_the_named_tokenizer_counts_for_a_url(tokenizer_file: Path) -> None:
    settings = load_settings(engine_url="http://127.0.0.1:9", tokenizer=str(tokenizer_file))
    assert make_engine(settings, None, print).count_tokens("select 1 1") == 3


def test_without_one_a_url_counts_generously() -> None:
    settings = load_settings(engine_url="http://127.0.0.1:9,http://127.0.0.1:10")
    assert make_engine(settings, None, print).count_tokens(SCHEMA) == upper_bound(SCHEMA)
    off = make_engine(load_settings(engine="off"), None, print)
    assert off.count_tokens(SCHEMA) == upper_bound(SCHEMA)
