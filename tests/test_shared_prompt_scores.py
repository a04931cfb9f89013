"""Scores and gradients with a shared prompt are those of the ordinary computation."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    from tests.fixtures_shared_prompt import MODELS, gradients, llama, ordinary, qwen2
    from trainer.shared_prompt.scores import score_batch, score_group

from service.errors import InvalidRequest

Group = tuple[list[int], list[list[int]]]


def tokens(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, 40, (count,), generator=generator).tolist()


GROUPS: dict[str, Group] = {
    "lengths differ": (tokens(11, 0), [tokens(n, n) for n in (5, 1, 9, 3)]),
    "one completion": (tokens(7, 1), [tokens(6, 2)]),
    "one token each": (tokens(7, 1), [[5], [6], [5]]),
    "a prompt of one token": ([9], [tokens(4, 3), tokens(2, 4)]),
    "equal completions": (tokens(5, 5), [tokens(3, 6)] * 3),
    "one is empty": (tokens(5, 5), [tokens(3, 6), [], tokens(2, 7)]),
}


def separately(model: Any, group: Group, temperature: float = 1.0) -> tuple[Any, Any]:
    prompt, texts = group
    found = [ordinary(model, prompt, text, temperature) for text in texts if text]
    return torch.cat([logps for logps, _ in found]), torch.cat([more for _, more in found])


def same(found: Any, expected: Any, within: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=within, rtol=within)


def grpo_loss(logps: Any, lengths: Sequence[int]) -> Any:
    """A clipped loss with random advantages; half of the ratios are off 1 by a little."""
    generator = torch.Generator().manual_seed(3)
    advantages = torch.randn(len(lengths), generator=generator)
    each = torch.repeat_interleave(advantages, torch.tensor(lengths))
    old = logps.detach() + 0.1 * torch.randn(len(logps), generator=generator)
    ratio = (logps - old).exp()
    return -torch.minimum(ratio * each, ratio.clamp(0.8, 1.28) * each).mean()


def both_gradients(model: Any, group: Group, temperature: float = 1.0) -> tuple[Any, Any]:
    lengths = [len(text) for text in group[1]]
    shared, _ = score_group(model, *group, temperature=temperature)
    apart, _ = separately(model, group, temperature)
    return (
        gradients(model, grpo_loss(shared, lengths)),
        gradients(model, grpo_loss(apart, lengths)),
    )


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", GROUPS)
def test_scores_are_those_of_each_completion_behind_its_own_prompt(kind: str, name: str) -> None:
    model = MODELS[kind]()
    logps, entropies = score_group(model, *GROUPS[name], temperature=0.7)
    expected = separately(model, GROUPS[name], temperature=0.7)
    same(logps, expected[0])
    same(entropies, expected[1])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", GROUPS)
def test_gradients_are_those_of_the_ordinary_computation(kind: str, name: str) -> None:
    model = MODELS[kind]().train()
    shared, apart = both_gradients(model, GROUPS[name], temperature=1.3)
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert shared.keys() == apart.keys() == trainable
    for weight in trainable:
        same(shared[weight], apart[weight], within=2e-5)


def test_gradients_are_the_same_when_activations_are_computed_twice() -> None:
    model = llama().train()
    model.gradient_checkpointing_enable()
    shared, apart = both_gradients(model, GROUPS["lengths differ"])
    for weight, expected in apart.items():
        same(shared[weight], expected, within=2e-5)


def test_a_group_of_empty_completions_scores_nothing_and_has_no_gradient() -> None:
    model = llama()
    logps, entropies = score_group(model, [3, 4], [[], []])
    assert (logps.shape, entropies.shape) == ((0,), (0,))
    assert not any(g.any() for g in gradients(model, logps.sum()).values())


def padded(rows: Sequence[list[int]], side: str) -> tuple[Any, Any]:
    longest = max(map(len, rows))
    fill = [[0] * (longest - len(row)) for row in rows]
    pairs = list(zip(rows, fill, strict=True))
    left = side == "left"
    ids = [more + row if left else row + more for row, more in pairs]
    ones = [[1] * len(row) for row in rows]
    mask = [f + o if left else o + f for f, o in zip(fill, ones, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


def batch() -> tuple[tuple[Any, Any], tuple[Any, Any], list[Group]]:
    """Three groups as TRL pads them: prompts on the left, completions on the right."""
    groups = [GROUPS[name] for name in ("lengths differ", "one completion", "one is empty")]
    prompts = [prompt for prompt, texts in groups for _ in texts]
    return (
        padded(prompts, "left"),
        padded([text for _, texts in groups for text in texts], "right"),
        groups,
    )


def test_padding_and_other_groups_of_the_batch_change_nothing() -> None:
    model = qwen2()
    prompts, completions, groups = batch()
    logps, entropies = score_batch(model, prompts, completions)
    kept = completions[1].bool()
    apart = [separately(model, group) for group in groups]
    same(logps[kept], torch.cat([found for found, _ in apart]))
    same(entropies[kept], torch.cat([more for _, more in apart]))
    assert not logps[~kept].any()
    assert not entropies[~kept].any()


def test_scores_and_gradients_are_trls_own(tmp_path: Path) -> None:
    trainer = stock_trainer(tmp_path)
    model = trainer.model
    prompts, completions, _ = batch()
    theirs, their_entropies, _ = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([prompts[0], completions[0]], 1),
        torch.cat([prompts[1], completions[1]], 1),
        completions[0].shape[1],
        compute_entropy=True,
    )
    ours, our_entropies = score_batch(model, prompts, completions, temperature=0.8)
    kept = completions[1].bool()
    same(ours[kept], theirs[kept])
    same(our_entropies[kept], their_entropies[kept])
    lengths = completions[1].sum(1).tolist()
    expected = gradients(model, grpo_loss(theirs[kept], lengths))
    for weight, found in gradients(model, grpo_loss(ours[kept], lengths)).items():
        same(found, expected[weight], within=2e-5)


def stock_trainer(folder: Path) -> Any:
    """TRL's GRPOTrainer, nothing overridden, on a tiny fp32 model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from transformers import PreTrainedTokenizerFast
        from trl.trainer.grpo_config import GRPOConfig
        from trl.trainer.grpo_trainer import GRPOTrainer

        words = Tokenizer(WordLevel({f"w{n}": n for n in range(40)}, unk_token="w2"))
        return GRPOTrainer(
            model=llama(),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(
                output_dir=str(folder),
                use_cpu=True,
                bf16=False,
                temperature=0.8,
                report_to="none",
                gradient_checkpointing=False,
                per_device_train_batch_size=8,
            ),
            train_dataset=Dataset.from_dict({"prompt": ["w3"]}),
            processing_class=PreTrainedTokenizerFast(
                tokenizer_object=words, pad_token="w0", eos_token="w1"
            ),
        )


def test_scores_in_bf16_are_near() -> None:
    model = llama().to(torch.bfloat16)
    logps, _ = score_group(model, *GROUPS["lengths differ"])
    expected, _ = separately(llama(), GROUPS["lengths differ"])
    assert logps.dtype == torch.float32
    assert float((logps - expected).detach().abs().mean()) < 0.1


def test_dropout_of_attention_is_applied_in_training_alone() -> None:
    model = llama(attention_dropout=0.5)
    group = GROUPS["lengths differ"]
    still, again = (score_group(model.eval(), *group)[0] for _ in range(2))
    same(still, again)
    torch.manual_seed(0)
    assert float((score_group(model.train(), *group)[0] - still).detach().abs().max()) > 1e-3


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at least one token"):
        score_group(llama(), [], [[1]])
