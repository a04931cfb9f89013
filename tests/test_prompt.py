"""The prompt is a pure function of what it is built from, stable parts first."""

from dataclasses import replace

import pytest

from service.text2sql.prompt import TEMPLATES, Template, Turn, build_prompt
from service.text2sql.values.match import ValueMatch
from tests.fixtures_prompt import CUSTOMER, SHOP, user

TASK = "-- Using valid SQLite, answer the following question for the tables provided above.\n"
VALUES = [
    ValueMatch("customer", "city", "P", "paris", 0.9),
    ValueMatch("order line", "sent", "2024-01-05", "january 5", 0.8),
    ValueMatch("customer", "city", "R", "rome", 0.8),
]
TURNS = [Turn("How many customers?", "SELECT count(*)\nFROM customer")]


def test_the_schema_comes_first_then_values_hint_and_question() -> None:
    prompt = build_prompt(SHOP, " How many\nare big? ", "Big means over 10.\n", values=VALUES)
    assert [m["role"] for m in prompt.messages] == ["system", "user"]
    assert user(prompt) == (
        Template("ddl").render(SHOP) + "\n\n" + TASK + "-- Values in the database that the question"
        " may mean: customer.city = 'P' or 'R'; \"order line\".sent = '2024-01-05'\n"
        "-- Hint: Big means over 10.\n-- How many\n-- are big?\n"
    )


def test_earlier_turns_are_chat_turns_after_the_schema() -> None:
    prompt = build_prompt(SHOP, "And in Paris?", "a hint", values=VALUES[:1], history=TURNS)
    first = build_prompt(SHOP, "How many customers?")
    assert prompt.messages[:2] == first.messages
    assert prompt.messages[2:] == [
        {"role": "assistant", "content": "```sql\nSELECT count(*)\nFROM customer\n```"},
        {
            "role": "user",
            "content": "-- Now answer this question, which may refer to the earlier ones and their"
            " queries.\n-- Values in the database that the question may mean: customer.city = 'P'\n"
            "-- Hint: a hint\n-- And in Paris?\n",
        },
    ]


def test_a_conversation_grows_at_its_end_alone() -> None:
    second = Turn("And in Paris?", "SELECT 2")
    shorter = build_prompt(SHOP, second.question, history=TURNS)
    longer = build_prompt(SHOP, "And in Rome?", history=[*TURNS, second])
    assert longer.messages[: len(shorter.messages)] == shorter.messages


@pytest.mark.parametrize("name", TEMPLATES)
def test_questions_on_one_database_share_all_up_to_what_depends_on_them(name: str) -> None:
    template = Template.parse(name)
    first = build_prompt(SHOP, "How many?", template=template)
    second = build_prompt(SHOP, "Who?", "a hint", template=template, values=VALUES)
    third = build_prompt(SHOP, "Whose?", template=template, history=TURNS)
    stable = template.render(SHOP) + "\n\n" + TASK
    assert first.messages[0] == second.messages[0] == third.messages[0]
    for prompt in (first, second, third):
        assert user(prompt).startswith(stable)


def test_the_hash_of_this_prompt_never_changes_under_one_template_name() -> None:
    prompt = build_prompt(SHOP, "How many?")
    assert prompt.template == "ddl-v2+examples+descriptions"
    assert prompt.sha256 == "1d35f536f4ed78567eb29b6c9941f72cde4f42824052562cdd3131edd8926ffa"


def test_everything_that_changes_the_prompt_changes_its_hash() -> None:
    prompts = [
        build_prompt(SHOP, "a"),
        build_prompt(SHOP, "b"),
        build_prompt(SHOP, "a", "hint"),
        build_prompt(SHOP, "a", values=VALUES),
        build_prompt(SHOP, "a", history=TURNS),
        build_prompt(replace(SHOP, tables=(CUSTOMER,)), "a"),
        *(build_prompt(SHOP, "a", template=Template.parse(name)) for name in TEMPLATES[:-1]),
    ]
    hashes = {prompt.sha256 for prompt in prompts}
    assert len(hashes) == len(prompts) - 1  # the default template is there twice


def test_blank_evidence_is_no_evidence() -> None:
    assert build_prompt(SHOP, "a", " \n").sha256 == build_prompt(SHOP, "a").sha256


def test_without_a_budget_nothing_is_left_out() -> None:
    assert not build_prompt(SHOP, "a").left_out.anything


def test_very_long_values_are_cut() -> None:
    long = ValueMatch("customer", "name", "x" * 1000, "x", 1.0)
    assert "x" * 200 + "…'" in user(build_prompt(SHOP, "a", values=[long]))
