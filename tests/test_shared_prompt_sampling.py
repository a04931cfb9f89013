"""Sampling with a shared prompt writes what the ordinary computation writes."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    from tests.fixtures_shared_prompt import MODELS, llama, ordinary, with_lora
    from trainer.shared_prompt.drafts import Drafts, draw
    from trainer.shared_prompt.sampler import Sampled, sample_groups

from service.errors import InvalidRequest

PROMPTS = [[5, 9, 3, 7, 8, 2, 6], [4], [11, 12, 13], [8, 8, 8, 9, 21, 30, 31, 32, 33]]


def sample(model: Any, prompts: Sequence[Sequence[int]] = PROMPTS, **changes: Any) -> Any:
    usual = {"group_size": 4, "max_tokens": 12, "temperature": 1.0, "stops": ()}
    return sample_groups(model, prompts, **(usual | changes))


def greedy(model: Any, prompt: Sequence[int], count: int, stops: Sequence[int]) -> list[int]:
    """transformers' own generation of `count` tokens at most."""
    ids = torch.tensor([prompt])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=count,
            eos_token_id=list(stops) or None,
        )
    return found[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", MODELS)
def test_greedy_completions_are_transformers_own(kind: str) -> None:
    model = MODELS[kind]().eval()
    model.generation_config.eos_token_id = None
    groups = sample(model, group_size=2, temperature=0)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        assert [one.tokens for one in group] == [greedy(model, prompt, 12, ())] * 2


def test_greedy_completions_stop_where_transformers_stops() -> None:
    model = llama().eval()
    model.generation_config.eos_token_id = None
    free = [one[0].tokens for one in sample(model, group_size=1, temperature=0)]
    stops = [free[0][3], free[2][6]]  # One group ends early, others later or not at all.
    groups = sample(model, group_size=2, temperature=0, stops=stops)
    found = [group[1].tokens for group in groups]
    assert found == [greedy(model, prompt, 12, stops) for prompt in PROMPTS]
    assert len({len(tokens) for tokens in found}) > 1


@pytest.mark.parametrize("kind", MODELS)
def test_log_probabilities_are_those_of_a_full_forward_pass(kind: str) -> None:
    model = MODELS[kind]().eval()
    torch.manual_seed(1)
    # A third of the vocabulary ends a completion: rows and whole groups drop out all the time.
    groups = sample(model, temperature=0.8, stops=range(2, 15), group_size=5, max_tokens=20)
    assert len({len(one.tokens) for group in groups for one in group}) > 4
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for one in group:
            expected, _ = ordinary(model, prompt, one.tokens, 0.8)
            torch.testing.assert_close(
                torch.tensor(one.logps), expected.detach(), atol=1e-5, rtol=1e-5
            )


def test_a_long_completion_has_room_for_its_keys() -> None:
    model = llama()
    torch.manual_seed(1)
    (group,) = sample(model, [[4, 5]], max_tokens=150, group_size=2)
    for one in group:
        expected, _ = ordinary(model, [4, 5], one.tokens)
        torch.testing.assert_close(torch.tensor(one.logps), expected.detach(), atol=2e-5, rtol=1e-5)


def test_greedy_log_probabilities_are_the_models_own() -> None:
    model = llama().eval()
    for prompt, (one,) in zip(PROMPTS, sample(model, group_size=1, temperature=0), strict=True):
        expected, _ = ordinary(model, prompt, one.tokens)
        torch.testing.assert_close(torch.tensor(one.logps), expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_tokens_are_drawn_as_often_as_they_are_probable(temperature: float) -> None:
    # Pearson's statistic of 39 degrees of freedom: over 90 once in 200,000 correct samplers, and
    # the seed is fixed.
    model, count = llama(initializer_range=0.1), 4000
    torch.manual_seed(7)
    (group,) = sample(model, [PROMPTS[0]], group_size=count, max_tokens=1, temperature=temperature)
    seen = Counter(one.tokens[0] for one in group)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1]
    expected = ((logits / temperature).softmax(-1) * count).tolist()
    assert sum((seen[t] - e) ** 2 / e for t, e in enumerate(expected)) < 90


def test_the_same_seed_gives_the_same_completions() -> None:
    model, found = llama(), list[Any]()
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(sample(model))
    assert found[0] == found[1] != found[2]


def test_the_first_use_of_a_model_draws_no_random_numbers_of_its_own() -> None:
    fresh, used = llama(), llama()
    sample(used)
    found = []
    for model in (fresh, used):
        torch.manual_seed(1)
        found.append(sample(model))
    assert found[0] == found[1]


def test_a_stop_ends_a_completion_and_is_part_of_it() -> None:
    torch.manual_seed(1)
    stops = {3, 4, 5, 6, 7}
    found = [one for group in sample(llama(), stops=stops, group_size=8) for one in group]
    for one in found:
        assert not stops & set(one.tokens[:-1])
        assert one.tokens[-1] in stops or len(one.tokens) == 12
        assert len(one.logps) == len(one.tokens)
    assert {one.tokens[-1] in stops for one in found} == {True, False}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_no_completion_is_longer_than_max_tokens(count: int) -> None:
    found = sample(llama(), max_tokens=count)
    assert {len(one.tokens) for group in found for one in group} == {count}


def test_the_order_of_prompts_is_kept_and_each_is_answered() -> None:
    model = llama()
    together = sample(model, temperature=0, group_size=3)
    apart = [sample(model, [prompt], temperature=0, group_size=3)[0] for prompt in PROMPTS]
    assert [[one.tokens for one in g] for g in together] == [
        [one.tokens for one in g] for g in apart
    ]


def test_prompts_beyond_one_forward_pass_are_read_in_several() -> None:
    model = llama(max_position_embeddings=2048)
    long = [[n % 40 for n in range(start, start + 900)] for start in range(4)]
    found = sample(model, [*long, [4]], temperature=0, group_size=1, max_tokens=2)
    expected, _ = ordinary(model, long[3], found[3][0].tokens)
    torch.testing.assert_close(
        torch.tensor(found[3][0].logps), expected.detach(), atol=1e-4, rtol=1e-4
    )


def test_no_prompts_are_no_completions() -> None:
    assert sample(llama(), []) == []


@pytest.mark.parametrize("adapt", [False, True])
def test_a_model_in_bf16_samples_too(adapt: bool) -> None:
    model = llama().to(torch.bfloat16)
    model = with_lora(model) if adapt else model
    torch.manual_seed(1)
    one = sample(model)[0][0]
    expected, _ = ordinary(model, PROMPTS[0], one.tokens)
    assert float((torch.tensor(one.logps) - expected.detach()).abs().mean()) < 0.1


def state(model: Any) -> Any:
    flags = [
        (module.training, getattr(module, "gradient_checkpointing", None))
        for module in model.modules()
    ]
    return flags, model.config._attn_implementation


@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_as_it_was_afterwards(adapt: bool, training: bool) -> None:
    model = llama(attention_dropout=0.3)
    model = (with_lora(model) if adapt else model).train(training)
    model.gradient_checkpointing_enable()
    next(model.modules()).training = not training  # A module that is not as the others are.
    before = state(model)
    sample(model)
    assert state(model) == before


class Interrupted(Exception):
    """What a signal's handler raises in the middle of a pass."""


def test_the_model_is_as_it_was_after_an_exception_in_the_middle() -> None:
    model = llama().train()
    sample(model)
    before = state(model)
    passes = []

    def interrupt(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 3:
            raise Interrupted

    hook = model.model.layers[1].register_forward_hook(interrupt)
    with pytest.raises(Interrupted):
        sample(model)
    hook.remove()
    assert state(model) == before
    assert len(sample(model)) == len(PROMPTS)


def test_dropout_is_off_while_sampling() -> None:
    model = llama(attention_dropout=0.5).train()
    torch.manual_seed(1)
    one = sample(model)[0][0]
    expected, _ = ordinary(model.eval(), PROMPTS[0], one.tokens)
    torch.testing.assert_close(torch.tensor(one.logps), expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompts": [[4], []]}, "a prompt is empty"),
        ({"group_size": 0}, "group_size=0 must be at least 1"),
        ({"max_tokens": 0}, "max_tokens=0 must be at least 1"),
        ({"temperature": -0.5}, r"temperature=-0\.5 must not be negative"),
    ],
)
def test_impossible_requests_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        sample(llama(), **changes)


def test_an_impossible_token_is_never_drawn() -> None:
    torch.manual_seed(0)
    logits = torch.full((20_000, 4), float("-inf"))
    logits[:, 1:3] = 0
    tokens, logps = draw(logits, 1.0)
    assert set(tokens.tolist()) == {1, 2}
    torch.testing.assert_close(logps, torch.full((20_000,), -0.6931472))


def test_drafts_of_dropped_rows_keep_their_text() -> None:
    drafts = Drafts(3, 4, [9], torch.device("cpu"))
    zero = torch.zeros(3)
    drafts.add(torch.tensor([1, 9, 2]), zero)
    assert drafts.drop_ended().tolist() == [True, False, True]
    drafts.add(torch.tensor([9, 3]), zero[:2])
    drafts.drop_ended()
    drafts.add(torch.tensor([9]), zero[:1])
    assert drafts.finished
    assert drafts.completions() == [
        Sampled([1, 9], [0, 0]),
        Sampled([9], [0]),
        Sampled([2, 3, 9], [0, 0, 0]),
    ]
