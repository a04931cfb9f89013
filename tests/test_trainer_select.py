"""Successive halving: rounds, paired questions, budgets, going on after a kill."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import InvalidRequest
from service.text2sql.questions import Question
from tests.fixtures_evaluate import Knows, dev_context, opener
from tests.fixtures_trainer import bandit_model
from trainer.context import Context, Policy
from trainer.selection.arms import arms_of
from trainer.selection.halving import nested, rounds, survivors
from trainer.selection.picture import figure, picture
from trainer.selection.stage import run_select

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "halving.yaml").read_text())
TEMPLATES = ["ddl", "light", "m_schema", "ddl+examples"]
SELECT = {"templates": TEMPLATES, "questions": 10}


@pytest.mark.parametrize("case", CASES["rounds"])
def test_rounds_double_the_questions_and_keep_a_share_of_the_arms(case: dict[str, Any]) -> None:
    planned = rounds(case["arms"], case["questions"], case["keep"], case["available"])
    assert [[r.arms, r.questions, r.survivors] for r in planned] == case["planned"]


@pytest.mark.parametrize("case", CASES["survivors"])
def test_the_best_go_on_and_of_equal_ones_the_earlier(case: dict[str, Any]) -> None:
    assert survivors(case["scores"], case["count"]) == case["left"]


def test_each_sample_holds_those_before_with_difficulties_in_their_share() -> None:
    difficulties = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    placed = [(n, Question(str(n), "d", "q", "g", "", k)) for n, k in enumerate(difficulties)]
    samples = nested(placed, [10, 20, 40, 80, 100], seed=3)
    assert [len(sample) for sample in samples] == [10, 20, 40, 80, 100]
    for small, large in pairwise(samples):
        assert {place for place, _ in small} < {place for place, _ in large}
    for sample in samples:
        shares = [sum(q.difficulty == k for _, q in sample) / len(sample) for k in "abc"]
        assert shares == pytest.approx([0.6, 0.3, 0.1])
    assert nested(placed, [10, 20], seed=3) != nested(placed, [10, 20], seed=4)


# The whole stage


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bandit_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def context(tmp_path: Path, tiny: Path) -> Iterator[Context]:
    with dev_context(tmp_path, tiny, count=40, recipe=["select"], select=SELECT) as context:
        yield context


class ByTemplate:
    """A model that is right on the questions below a number that its prompt's form decides."""

    def __init__(self, right: dict[str, int]) -> None:
        self.right = right
        self.asked: dict[str, list[int]] = {}
        self.opened: list[str] = []
        self.stop_after: int | None = None
        self.temperatures: set[float] = set()

    def open(self, policy: Policy) -> Any:
        self.opened.append(policy.base_model)
        return self.complete

    def complete(self, prompts: list[Any], **options: Any) -> Any:
        form = _form(prompts[0][-1]["content"])
        count = sum(map(len, self.asked.values()))
        if self.stop_after is not None and count >= self.stop_after:
            raise KeyboardInterrupt
        model = Knows(lambda n: n < self.right[form])
        self.temperatures.add(options["temperature"])
        written = model(prompts, **options)
        self.asked.setdefault(form, []).extend(model.asked)
        return written


def _form(prompt: str) -> str:
    if "【" in prompt:
        return "m_schema"
    if "CREATE TABLE" not in prompt:
        return "light"
    return "ddl+examples" if "Rex" in prompt else "ddl"


RIGHT = {"ddl": 10, "light": 20, "m_schema": 35, "ddl+examples": 30}


def test_the_best_arm_wins_and_the_run_goes_on_with_it(context: Context) -> None:
    model = ByTemplate(RIGHT)
    result = run_select(context, opener(model.open))
    assert result.policy.template.startswith("m_schema")
    assert (result.policy.base_model, result.policy.checkpoint) == ("tiny", None)
    assert result.policy.base_model_path == context.request.base_model_path
    assert result.steps == 0
    told = result.numbers
    assert told["rounds"] == [
        {"questions": 10, "arms": 4, "kept": 2},
        {"questions": 20, "arms": 2, "kept": 1},
    ]
    assert told["winner"] == 2
    assert [row["dropped_in_round"] for row in told["arms"]] == [1, 1, None, 2]


def test_arms_of_a_round_answer_the_same_questions_and_none_twice(context: Context) -> None:
    model = ByTemplate(RIGHT)
    run_select(context, opener(model.open))
    first = set(model.asked["ddl"])
    assert len(model.asked["ddl"]) == 10
    assert set(model.asked["light"]) == first
    last = model.asked["m_schema"]
    assert len(last) == len(set(last)) == 20
    assert set(last[:10]) == first
    assert set(model.asked["ddl+examples"]) == set(last)


def test_the_budget_is_counted_for_each_arm(context: Context) -> None:
    result = run_select(context, opener(ByTemplate(RIGHT).open))
    spent = [row["spent"] for row in result.numbers["arms"]]
    assert [one["questions"] for one in spent] == [10, 10, 20, 20]
    assert [one["completion_tokens"] for one in spent] == [40, 40, 80, 80]
    assert all(one["prompt_tokens"] > 10 * one["questions"] for one in spent)
    assert result.numbers["spent"]["questions"] == 60
    assert result.numbers["questions_without_halving"] == 80


def test_a_model_is_opened_once_a_round_for_all_its_arms(tmp_path: Path, tiny: Path) -> None:
    select = {
        "base_models": ["other"],
        "templates": TEMPLATES[:2],
        "temperatures": [0.0, 0.7],
        "questions": 4,
    }
    model = ByTemplate({"ddl": 20, "light": 0})
    others = {"other": tiny}
    with dev_context(
        tmp_path, tiny, recipe=["select"], select=select, other_models=others
    ) as context:
        assert [arm.base_model for arm in arms_of(context.request)] == ["tiny"] * 4 + ["other"] * 4
        # The two share a folder here, so they are told apart by it: a copy.
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in tiny.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        request = context.request.model_copy(update={"other_models": {"other": copy}})
        result = run_select(replace(context, request=request), opener(model.open))
    assert model.opened == ["tiny", "other", "tiny", "other", "tiny"]
    assert model.temperatures == {0.0, 0.7}
    # All arms with ddl are equal: the first one stays.
    assert (result.policy.base_model, result.policy.temperature) == ("tiny", 0.0)
    assert result.policy.template.startswith("ddl")


@pytest.mark.parametrize("stop_after", [0, 10, 30, 45])
def test_a_killed_selection_goes_on_as_if_it_never_was(
    tmp_path: Path, tiny: Path, context: Context, stop_after: int
) -> None:
    model = ByTemplate(RIGHT)
    model.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        run_select(context, opener(model.open))
    for path in context.folder("select").glob("*.jsonl"):
        if data := path.read_bytes():
            path.write_bytes(data[:-20])
    again = ByTemplate(RIGHT)
    result = run_select(context, opener(again.open))
    whole = tmp_path / "whole"
    whole.mkdir()
    with dev_context(whole, tiny, count=40, recipe=["select"], select=SELECT) as unbroken:
        expected = run_select(unbroken, opener(ByTemplate(RIGHT).open))
    assert _untimed(result.numbers) == _untimed(expected.numbers)
    finished = ByTemplate(RIGHT)
    run_select(context, opener(finished.open))
    assert finished.asked == {}
    told = [event["data"]["round"] for event in context.run.events() if "round" in event["type"]]
    assert told == [1, 2]


def _untimed(numbers: dict[str, Any]) -> str:
    arms = [row | {"spent": row["spent"] | {"seconds": 0}} for row in numbers["arms"]]
    return json.dumps({"rounds": numbers["rounds"], "arms": arms, "winner": numbers["winner"]})


def test_a_single_arm_is_chosen_without_a_question(tmp_path: Path, tiny: Path) -> None:
    model = ByTemplate(RIGHT)
    one = {"templates": ["light"], "temperatures": [0.5]}
    with dev_context(tmp_path, tiny, recipe=["select"], select=one) as context:
        result = run_select(context, opener(model.open))
    assert model.opened == []
    assert (result.policy.template.split("-")[0], result.policy.temperature) == ("light", 0.5)
    assert result.numbers["rounds"] == []


def test_a_base_model_without_a_folder_is_named(tmp_path: Path, tiny: Path) -> None:
    with (
        dev_context(tmp_path, tiny, select={"base_models": ["lost"]}) as context,
        pytest.raises(InvalidRequest, match="'lost'") as caught,
    ):
        run_select(context, opener(ByTemplate(RIGHT).open))
    assert caught.value.param == "hyperparameters.select.base_models"


def test_questions_that_cannot_be_judged_end_the_selection(tmp_path: Path, tiny: Path) -> None:
    with dev_context(tmp_path, tiny, select=SELECT, count=12) as context:
        path = tmp_path / "dev.json"
        rows = json.loads(path.read_text())
        path.write_text(json.dumps([row | {"SQL": "SELEC"} for row in rows]))
        with pytest.raises(InvalidRequest, match="can be judged"):
            run_select(context, opener(ByTemplate(RIGHT).open))


def test_a_real_model_is_asked(tmp_path: Path, tiny: Path) -> None:
    select = {"templates": TEMPLATES[:2], "temperatures": [0.0, 1.0], "questions": 2}
    with dev_context(
        tmp_path, tiny, count=4, recipe=["select"], select=select, max_completion_tokens=4
    ) as context:
        result = run_select(context)
    assert result.numbers["spent"]["questions"] == 4 * 2 + 2 * 2
    assert result.numbers["spent"]["completion_tokens"] >= 12


# The picture


def test_the_picture_shows_every_arm_and_round(context: Context) -> None:
    result = run_select(context, opener(ByTemplate(RIGHT).open))
    folder = context.folder("select")
    root = ElementTree.fromstring((folder / "picture.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f".//{space}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2, 1, 1]
    arms = [group for group in root.iter(f"{space}g") if "opacity" in group.attrib]
    assert [group.attrib["opacity"] for group in arms] == ["1", "0.45", "0.45", "0.45"]
    text = " ".join(root.itertext())
    assert "2 arms \u00d7 20" in text
    assert "chosen" in text
    table = json.loads((folder / "table.json").read_text())
    assert table["arms"] == result.numbers["arms"]
    assert result.numbers["figure"] == figure(result.numbers)


def test_names_of_models_do_not_become_markup(context: Context) -> None:
    numbers = run_select(context, opener(ByTemplate(RIGHT).open)).numbers
    hostile = "</title><script>alert(1)</script>\u202e"
    arms = [row | {"base_model": hostile} for row in numbers["arms"]]
    drawn = picture(numbers | {"arms": arms})
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    assert "style=" not in drawn
    ElementTree.fromstring(drawn)


def test_more_arms_than_are_drawn_are_counted(context: Context) -> None:
    numbers = run_select(context, opener(ByTemplate(RIGHT).open)).numbers
    more = [numbers["arms"][0] | {"number": n} for n in range(4, 24)]
    assert "and 12 more, dropped before" in picture(numbers | {"arms": numbers["arms"] + more})


def test_a_fork_chooses_prompts_but_no_other_base_model(tmp_path: Path, tiny: Path) -> None:
    parent = tmp_path / "other run" / "step_9"
    select = {"base_models": ["other"], "templates": TEMPLATES[:2]}
    with dev_context(
        tmp_path, tiny, recipe=["select"], select=select, other_models={"other": tiny}
    ) as context:
        forked = context.request.model_copy(update={"parent_adapter_path": parent})
        assert {arm.policy.parent for arm in arms_of(context.request)} == {None}
        with pytest.raises(InvalidRequest, match="belongs to tiny"):
            arms_of(forked)
