"""A model that a shared prompt would be wrong with is refused, and by name."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    import transformers

    from tests.fixtures_shared_prompt import SIZES, llama, qwen2
    from trainer.errors import ModelUnsupported
    from trainer.shared_prompt.sampler import sample_groups
    from trainer.shared_prompt.scores import score_group
    from trainer.shared_prompt.support import Example, on_first_use


def build(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**(SIZES | changes))
    return getattr(transformers, f"{name}ForCausalLM")(config)


def gpt2() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    return transformers.GPT2LMHeadModel(config)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a window in some layers": (
        lambda: qwen2(use_sliding_window=True, sliding_window=8, max_window_layers=1),
        "layers with sliding_attention",
    ),
    "a window in all layers": (
        lambda: build("Mistral", sliding_window=8),
        "layers with (a window of 8 tokens|sliding_attention)",
    ),
    "soft-capped scores": (
        lambda: build("Gemma2", head_dim=16, layer_types=["full_attention"] * 2),
        "softcap",
    ),
    "logits that are scaled": (
        lambda: build("Granite", logits_scaling=3.0),
        "log-probabilities differ",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_that_would_be_sampled_wrongly_is_refused(kind: str) -> None:
    make, words = REFUSED[kind]
    model = make()
    for _ in range(2):
        with pytest.raises(ModelUnsupported, match=words):
            sample_groups(model, [[4]], group_size=2, max_tokens=3, temperature=1, stops=())


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if "logits" not in kind])
def test_a_model_that_would_be_scored_wrongly_is_refused(kind: str) -> None:
    make, words = REFUSED[kind]
    model = make()
    with pytest.raises(ModelUnsupported, match=words):
        score_group(model, [4, 5], [[6]])


def test_a_model_whose_layers_ask_nothing_of_the_interface_is_refused() -> None:
    class Plain(torch.nn.Module):
        """Passes on its embeddings, as a model with an attention of its own would."""

        def forward(self, input_ids: Any, **_: Any) -> Any:
            return transformers.modeling_outputs.BaseModelOutputWithPast(
                last_hidden_state=torch.nn.functional.one_hot(input_ids, 64).float()
            )

    model = llama()
    model.model = Plain()
    with pytest.raises(ModelUnsupported, match="0 of its 2 layers"):
        sample_groups(model, [[4]], group_size=2, max_tokens=3, temperature=1, stops=())


def test_a_model_that_needs_other_arguments_is_refused_or_right() -> None:
    model = gpt2().eval()
    try:
        (group,) = sample_groups(
            model, [[4, 5]], group_size=1, max_tokens=4, temperature=0, stops=()
        )
    except ModelUnsupported:
        return
    logits = model(input_ids=torch.tensor([[4, 5, *group[0].tokens]])).logits[0, 1:-1]
    assert logits.argmax(-1).tolist() == group[0].tokens


def test_full_attention_models_of_other_families_are_taken() -> None:
    for name in ("Mistral", "Qwen3"):
        changes: dict[str, Any] = {"sliding_window": None} if name == "Mistral" else {}
        model = build(name, **changes)
        assert len(score_group(model, [4, 5], [[6]])[0]) == 1
        sample_groups(model, [[4]], group_size=2, max_tokens=3, temperature=1, stops=())


def test_a_model_is_tried_once_and_again_after_a_failure() -> None:
    model, tried = llama(), list[int]()

    def example(wrong: float) -> Callable[..., list[Example]]:
        def run(model: Any, prompts: Any) -> list[Example]:
            tried.append(1)
            logits = model(input_ids=torch.tensor([[*prompts[0], 7]])).logits[0, -2]
            return [Example(prompts[0], [7], [float(logits.log_softmax(-1)[7]) + wrong])]

        return run

    with pytest.raises(ModelUnsupported, match="testing with a shared prompt is wrong"):
        on_first_use(model, "testing", example(0.5))
    on_first_use(model, "testing", example(0))
    on_first_use(model, "testing", example(0.5))
    assert len(tried) == 2
