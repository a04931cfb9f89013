"""Policies measured on dev: the folder, going on after a kill, the best of a run."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.commands.compare import compare_runs
from service.errors import Conflict, InvalidRequest
from service.text2sql.evaluation import Outcome
from service.text2sql.evaluation.folder import read_run
from service.text2sql.prompt import build_prompt
from service.text2sql.schema import read_schema
from service.text2sql.types import METRICS
from tests.fixtures_evaluate import (
    Knows,
    checkpoint,
    dev_context,
    number_in,
    opener,
    trained,
    written,
)
from tests.fixtures_trainer import bandit_model
from trainer.context import Context, Policy
from trainer.dataset import Messages
from trainer.evaluation.loaded import LoadedModel
from trainer.evaluation.measure import Evaluator, evaluate_policy
from trainer.evaluation.stage import run_evaluate
from trainer.sampling import Written


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bandit_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def context(tmp_path: Path, tiny: Path) -> Iterator[Context]:
    with dev_context(tmp_path, tiny) as context:
        yield context


def answers(*texts: str) -> Any:
    """The n-th question is answered with the n-th text."""

    def complete(prompts: list[Messages], **_: object) -> list[list[Written]]:
        return [[replace(written(""), text=texts[number_in(p)])] for p in prompts]

    return complete


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]


def answered(folder: Path) -> dict[int, dict[str, Any]]:
    """The last line of each question, without what a clock said."""
    timed = {"latency_ms", "metrics", "samples"}
    return {
        line["place"]: {k: v for k, v in line.items() if k not in timed} for line in lines(folder)
    }


def test_every_answer_has_its_verdict_by_every_metric(tmp_path: Path, tiny: Path) -> None:
    texts = [
        "```sql\nSELECT 0, name FROM pets\n```",
        "SELECT 7, name FROM pets",
        "I do not know.",
        "```sql\nSELECT nothing FROM pets\n```",
    ]
    with dev_context(tmp_path, tiny, count=4) as context:
        found = evaluate_policy(context, context.policy, "base", answers(*texts))
    assert [o.status for o in found.outcomes] == ["match", "mismatch", "no_sql", "syntax_error"]
    assert [o.sql for o in found.outcomes] == [
        "SELECT 0, name FROM pets",
        "SELECT 7, name FROM pets",
        None,
        "SELECT nothing FROM pets",
    ]
    assert all(set(o.metrics) == set(METRICS) for o in found.outcomes)
    assert [o.right("strict") for o in found.outcomes] == [True, False, False, False]
    assert found.outcomes[0].trace["completions"] == [texts[0]]


def test_an_outcome_says_what_it_was_made_with(context: Context) -> None:
    policy = context.policy.model_copy(update={"checkpoint": 3})
    checkpoint(context, 3)
    found = evaluate_policy(context, policy, "grpo_step_3", Knows(lambda n: True)).outcomes[0]
    database = context.verifier.registry.get("pets")
    schema = context.verifier.run(read_schema(context.verifier.executor, database))
    told = found.provenance
    assert told.prompt_sha256 == build_prompt(schema, "pet 0?").sha256
    assert told.template == str(context.template)
    assert told.database_sha256 == context.verifier.registry.sha256("pets")
    assert told.verifier_version == context.verifier.version
    assert told.model["name"] == "tiny"
    assert len(told.model["revision"] or "") == len(told.model["adapter"] or "") == 64
    assert found.prompt_tokens > 10
    assert found.completion_tokens == 4


def test_values_that_a_question_names_are_in_its_prompt(tmp_path: Path, tiny: Path) -> None:
    def prompt(values: bool) -> str:
        folder = tmp_path / str(values)
        folder.mkdir()
        with dev_context(folder, tiny, count=1, values=values) as context:
            rows = json.loads((folder / "dev.json").read_text())
            rows[0]["question"] = "How old is rex?"
            (folder / "dev.json").write_text(json.dumps(rows))
            asked = lambda prompts, **_: [[written("SELECT 1")] for _ in prompts]  # noqa: E731
            found = evaluate_policy(context, context.policy, "base", asked)
            messages: Messages = found.outcomes[0].trace["messages"]
            return messages[-1]["content"]

    named = "pets.name = 'Rex'"
    assert named in prompt(values=True)
    assert named not in prompt(values=False)


def test_two_policies_are_compared_by_the_command(
    context: Context, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    half = evaluate_policy(context, context.policy, "half", Knows(lambda n: n % 2 == 0))
    most = evaluate_policy(context, context.policy, "most", Knows(lambda n: n != 0))
    compare_runs(half.folder, most.folder, None, tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metric"] == "bird_ex"
    whole = report["by_difficulty"][-1]
    assert (whole["both"], whole["only_a"], whole["only_b"], whole["neither"]) == (9, 1, 10, 0)
    assert "warning" not in capsys.readouterr().err


def test_a_folder_has_the_files_of_an_evaluation(context: Context) -> None:
    found = evaluate_policy(context, context.policy, "base", Knows(lambda n: n < 5))
    names = {path.name for path in found.folder.iterdir()}
    assert names == {
        "manifest.json",
        "questions.jsonl",
        "summary.json",
        "report.html",
        "predict_dev.json",
    }
    manifest, outcomes = read_run(found.folder)
    assert manifest["status"] == "finished"
    assert manifest["settings"]["metrics"] == list(METRICS)
    assert manifest["settings"]["temperature"] == 0.0
    assert outcomes == found.outcomes
    assert len(json.loads((found.folder / "predict_dev.json").read_text())) == 20


@pytest.mark.parametrize("kept_bytes", [0.2, 0.95])
def test_a_killed_evaluation_goes_on_as_if_it_never_was(
    context: Context, kept_bytes: float
) -> None:
    whole = evaluate_policy(context, context.policy, "whole", Knows(lambda n: n % 2 == 0))
    cut = evaluate_policy(context, context.policy, "cut", Knows(lambda n: n % 2 == 0))
    path = cut.folder / "questions.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept_bytes)])
    assert not path.read_bytes().endswith(b"\n")
    again = Knows(lambda n: n % 2 == 0)
    found = evaluate_policy(context, context.policy, "cut", again)
    # A batch that was cut is asked again whole, the others are not.
    assert again.asked == (list(range(20)) if kept_bytes < 0.5 else [16, 17, 18, 19])
    assert answered(cut.folder) == answered(whole.folder)
    assert [o.place for o in found.outcomes] == list(range(20))
    assert found.manifest["counts"]["answered"] == 20
    assert found.manifest["sessions"][0]["asked"] == 20


def test_what_was_answered_before_a_kill_is_reported(context: Context) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate_policy(context, context.policy, "base", Knows(lambda n: True, stop_after=16))
    folder = context.folder("evaluate") / "base"
    assert json.loads((folder / "summary.json").read_text())["questions"] == 16
    assert json.loads((folder / "manifest.json").read_text())["status"] == "unfinished"


def test_a_finished_evaluation_is_not_asked_again(context: Context) -> None:
    first = evaluate_policy(context, context.policy, "base", Knows(lambda n: True))
    (first.folder / "summary.json").unlink()  # as a kill after the last answer leaves it
    again = Knows(lambda n: False)
    second = evaluate_policy(context, context.policy, "base", again)
    assert again.asked == []
    assert second.outcomes == first.outcomes
    assert json.loads((first.folder / "summary.json").read_text())["questions"] == 20


def test_a_folder_of_another_policy_is_refused(context: Context) -> None:
    evaluate_policy(context, context.policy, "base", Knows(lambda n: True))
    other = context.policy.model_copy(update={"template": "light"})
    with pytest.raises(InvalidRequest, match="template was"):
        evaluate_policy(context, other, "base", Knows(lambda n: True))


def test_a_database_that_changes_under_way_ends_the_evaluation(context: Context) -> None:
    def complete(prompts: list[Messages], **_: object) -> list[list[Written]]:
        if len(prompts) < 16:
            path = context.verifier.registry.get("pets").path
            path.write_bytes(path.read_bytes() + b"\0" * 4096)
        return [[written("SELECT 1")] for _ in prompts]

    with pytest.raises(Conflict, match="the database 'pets' is another file"):
        evaluate_policy(context, context.policy, "base", complete)


def test_questions_are_drawn_by_the_seed_with_each_difficulty_in_its_share(
    tmp_path: Path, tiny: Path
) -> None:
    with dev_context(tmp_path, tiny, evaluate={"questions": 6}) as context:
        found = evaluate_policy(context, context.policy, "base", Knows(lambda n: True))
    difficulties = [o.question.difficulty for o in found.outcomes]
    assert (difficulties.count("simple"), difficulties.count("moderate")) == (4, 2)
    assert found.manifest["questions"]["selection"] == {"sample": 6, "sample_seed": 0}


def test_the_dev_split_of_a_folder_is_asked(context: Context, tmp_path: Path) -> None:
    request = context.request.model_copy(update={"dev_data_path": tmp_path})
    here = replace(context, request=request)
    found = evaluate_policy(here, context.policy, "base", Knows(lambda n: True))
    assert len(found.outcomes) == 20


def _with_row(tmp_path: Path, **row: str) -> None:
    path = tmp_path / "dev.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, rows[0] | row]))


@pytest.mark.parametrize(
    ("row", "status", "masked"),
    [
        ({"db_id": "lost"}, "unknown_database", True),
        ({"SQL": "SELECT nothing FROM pets"}, "gold_error", True),
        ({"evidence": "word " * 3000}, "too_large", False),
        ({"evidence": "word " * 3000, "SQL": "SELEC"}, "gold_error", True),
    ],
)
def test_what_cannot_be_judged_is_left_out_and_what_cannot_be_asked_is_wrong(
    tmp_path: Path, tiny: Path, row: dict[str, str], status: str, masked: bool
) -> None:
    with dev_context(tmp_path, tiny, count=2) as context:
        _with_row(tmp_path, **row)
        found = evaluate_policy(context, context.policy, "base", Knows(lambda n: True))
    last: Outcome = found.outcomes[-1]
    assert (last.status, last.masked, last.right("bird_ex")) == (status, masked, False)
    assert last.sql is None or status == "gold_error"
    assert [o.right("bird_ex") for o in found.outcomes[:2]] == [True, True]


def test_a_damaged_database_leaves_out_its_own_questions_alone(tmp_path: Path, tiny: Path) -> None:
    with dev_context(tmp_path, tiny, count=2) as context:
        damaged = tmp_path / "data" / "broken" / "broken.sqlite"
        damaged.parent.mkdir()
        damaged.write_bytes(b"SQLite format 3\0" + b"\1" * 8192)
        _with_row(tmp_path, db_id="broken")
        registry = type(context.verifier.registry).scan([tmp_path / "data"])
        context.verifier.registry = registry
        with Evaluator(context) as evaluator:
            found = evaluator.measure(context.policy, "base", Knows(lambda n: True))
    assert [o.masked for o in found.outcomes] == [False, False, True]


def test_a_context_without_room_for_a_prompt_is_refused(tmp_path: Path, tiny: Path) -> None:
    with (
        dev_context(tmp_path, tiny, max_completion_tokens=2048) as context,
        pytest.raises(InvalidRequest, match="no room for a prompt"),
    ):
        evaluate_policy(context, context.policy, "base", Knows(lambda n: True))


# The whole stage


def models(right: dict[int | None, int]) -> Any:
    """For each checkpoint the number of questions it has right, from the first on."""
    return opener(lambda policy: Knows(lambda n: n < right[policy.checkpoint]))


def with_training(context: Context) -> Context:
    """Offline to step 10, grpo to step 50 with a checkpoint every 5 steps."""
    for number in range(5, 51, 5):
        checkpoint(context, number)
    results = trained(context, offline=10, grpo=50)
    return replace(context, results=results, policy=results["grpo"].policy, steps=50)


def test_the_stage_measures_base_offline_and_grpo_and_chooses_the_best(context: Context) -> None:
    context = with_training(context)
    result = run_evaluate(context, models({None: 4, 10: 9, 25: 17, 35: 12, 50: 14}))
    names = [point["name"] for point in result.numbers["points"]]
    expected = ["base", "offline_step_10", "grpo_step_25", "grpo_step_35", "grpo_step_50"]
    assert names == expected
    assert result.policy.checkpoint == 25
    assert (result.numbers["best"], result.numbers["best_checkpoint"]) == ("grpo_step_25", 25)
    assert result.steps == 50
    status = context.run.status()
    assert status is not None
    assert (status.best_checkpoint, status.stage) == (25, "evaluate")


def test_the_numbers_of_a_point_are_those_of_its_counts(context: Context) -> None:
    context = with_training(context)
    result = run_evaluate(context, models({None: 4, 10: 9, 25: 17, 35: 12, 50: 14}))
    base, offline, *_, last = result.numbers["points"]
    assert base["accuracy"]["bird_ex"]["share"] == 4 / 20
    # Wilson's interval of 4 in 20, by hand.
    assert base["accuracy"]["bird_ex"]["interval_95"] == pytest.approx([0.0807, 0.4160], abs=1e-4)
    assert "to_base" not in base
    to_base = offline["to_base"]["bird_ex"]
    assert (to_base["both"], to_base["won"], to_base["lost"], to_base["neither"]) == (4, 5, 0, 11)
    assert to_base["mcnemar_p"] == 2 / 2**5
    assert last["to_base"]["strict"]["difference"] == 10 / 20
    assert last["to_previous"]["bird_ex"]["to"] == "grpo_step_35"
    assert last["to_stage_start"]["bird_ex"]["to"] == "offline_step_10"
    assert last["to_stage_start"]["bird_ex"]["won"] == 5
    assert last["tokens"]["completion"] == 80
    assert last["statuses"] == {"match": 14, "mismatch": 6}
    assert (context.run.path / last["folder"] / "report.html").exists()


@pytest.mark.parametrize(
    ("right", "best"),
    [
        ({None: 9, 10: 9, 25: 9, 35: 9, 50: 9}, None),
        ({None: 1, 10: 9, 25: 9, 35: 9, 50: 9}, 10),
        ({None: 1, 10: 2, 25: 3, 35: 9, 50: 9}, 35),
        ({None: 0, 10: 0, 25: 0, 35: 0, 50: 0}, None),
    ],
)
def test_of_equal_points_the_earlier_is_chosen(
    context: Context, right: dict[int | None, int], best: int | None
) -> None:
    assert run_evaluate(with_training(context), models(right)).policy.checkpoint == best


def test_each_point_has_a_row_of_metrics_and_an_event(context: Context) -> None:
    context = with_training(context)
    run_evaluate(context, models({None: 4, 10: 9, 25: 17, 35: 12, 50: 14}))
    rows = context.run.metrics()
    assert [(row["step"], row["stage"], row["dev_accuracy"]) for row in rows] == [
        (0, "evaluate", 0.2),
        (10, "evaluate", 0.45),
        (25, "evaluate", 0.85),
        (35, "evaluate", 0.6),
        (50, "evaluate", 0.7),
    ]
    *told, last = context.run.events()
    assert [event["type"] for event in told] == ["evaluated"] * 5
    assert "offline_step_10: bird_ex 45.0 %" in told[1]["message"].replace("45.0%", "45.0 %")
    assert "+25.0%" in told[1]["message"]
    assert [row["share"] for row in last["data"]["table"]] == [0.2, 0.45, 0.85, 0.6, 0.7]


def test_a_killed_stage_asks_only_what_is_left(context: Context) -> None:
    context = with_training(context)
    right = {None: 4, 10: 9, 25: 17, 35: 12, 50: 14}
    asked: dict[int | None, Knows] = {}

    def model(policy: Policy) -> Knows:
        most = right[policy.checkpoint]
        asked[policy.checkpoint] = Knows(lambda n: n < most)
        asked[policy.checkpoint].stop_after = 16 if policy.checkpoint == 25 else None
        return asked[policy.checkpoint]

    with pytest.raises(KeyboardInterrupt):
        run_evaluate(context, opener(model))
    assert list(asked) == [None, 10, 25]
    context.run.keep_steps(50)  # as a run does that starts again
    again: dict[int | None, Knows] = {}

    def unbroken(policy: Policy) -> Knows:
        most = right[policy.checkpoint]
        return again.setdefault(policy.checkpoint, Knows(lambda n: n < most))

    result = run_evaluate(context, opener(unbroken))
    assert {number: len(one.asked) for number, one in again.items()} == {
        None: 0, 10: 0, 25: 4, 35: 20, 50: 20,
    }  # fmt: skip
    assert result.policy.checkpoint == 25
    assert [row["step"] for row in context.run.metrics()] == [0, 10, 25, 35, 50]


def test_without_dev_data_the_stage_says_what_it_needs(context: Context) -> None:
    request = context.request.model_copy(update={"dev_data_path": None})
    with pytest.raises(InvalidRequest, match="evaluate needs dev_data") as caught:
        run_evaluate(replace(context, request=request))
    assert caught.value.param == "dev_data"


def test_dev_questions_that_cannot_be_judged_end_the_stage_at_the_base(
    tmp_path: Path, tiny: Path
) -> None:
    with dev_context(tmp_path, tiny, count=2) as context:
        path = tmp_path / "dev.json"
        rows = json.loads(path.read_text())
        path.write_text(json.dumps([row | {"SQL": "SELEC"} for row in rows]))
        with pytest.raises(InvalidRequest, match="can be judged: gold_error"):
            run_evaluate(with_training(context), opener(lambda policy: Knows(lambda n: True)))
        assert not (context.folder("evaluate") / "offline_step_10").exists()


# Real weights


def _adapter(tiny: Path, folder: Path) -> Path:
    """An adapter that makes one statement the most probable, whatever was asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
        wrapped = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)
        wrapped.save_pretrained(folder)
    return folder


def test_a_checkpoint_answers_with_its_own_weights(
    tmp_path: Path, tiny: Path, context: Context
) -> None:
    adapter = _adapter(tiny, context.run.checkpoints_path / "step_2")
    asked = [[{"role": "user", "content": f"pet {n}"}] for n in range(3)]
    texts = {}
    for name, path in {"base": None, "adapter": adapter, "full": tiny}.items():
        with LoadedModel(tiny, path, seed=0) as complete:
            groups = complete(asked, n=1, max_tokens=4, temperature=0.0)
            texts[name] = [group[0].tokens for group in groups]
    assert texts["full"] == texts["base"] != texts["adapter"]


def test_above_temperature_0_the_same_prompts_have_the_same_answers(tiny: Path) -> None:
    asked = [[{"role": "user", "content": f"pet {n}"}] for n in range(8)]

    def drawn(seed: int) -> list[list[int]]:
        with LoadedModel(tiny, None, seed) as complete:
            complete(asked[:2], n=1, max_tokens=4, temperature=1.0)
            return [g[0].tokens for g in complete(asked, n=1, max_tokens=4, temperature=1.0)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_real_models_are_measured_to_the_end_of_the_stage(tmp_path: Path, tiny: Path) -> None:
    with dev_context(tmp_path, tiny, count=3, max_completion_tokens=4) as context:
        _adapter(tiny, context.run.checkpoints_path / "step_2")
        results = trained(context, grpo=2)
        after = replace(context, results=results, policy=results["grpo"].policy, steps=2)
        result = run_evaluate(after)
    assert [point["name"] for point in result.numbers["points"]] == ["base", "grpo_step_2"]
    sha256 = {
        read_run(context.run.path / point["folder"])[0]["answered_by"]["model"]["adapter"]
        for point in result.numbers["points"]
    }
    assert len(sha256) == 2


def test_a_fork_is_measured_from_its_parent_on(tmp_path: Path, tiny: Path) -> None:
    parent = _adapter(tiny, tmp_path / "other run" / "step_9")
    with dev_context(tmp_path, tiny, count=3, max_completion_tokens=4) as context:
        forked = context.policy.model_copy(update={"parent": parent})
        result = run_evaluate(replace(context, policy=forked))
    base, after = result.numbers["points"]
    assert (base["name"], after["name"], after["checkpoint"]) == ("base", "parent", None)
    adapters = [
        read_run(context.run.path / point["folder"])[0]["answered_by"]["model"]["adapter"]
        for point in (base, after)
    ]
    assert adapters[0] != adapters[1]
    assert after["to_base"]["bird_ex"]["to"] == "base"
