"""How many weights a decoder of the Llama and Qwen2 kind has, from the sizes in its config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BIASED = "qwen2"


@dataclass(frozen=True, slots=True)
class Decoder:
    """Sizes of a decoder with grouped queries and a gated feed-forward part (SwiGLU)."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    tied: bool
    """The head is the embedding."""
    biased: bool = True
    """Queries, keys and values have a bias, as in Qwen2."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Decoder":
        """From the fields of a config.json; a missing `model_type` is Qwen2's."""
        return cls(
            vocabulary=config["vocab_size"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            tied=config.get("tie_word_embeddings", False),
            biased=config.get("model_type", _BIASED) == _BIASED,
        )

    @property
    def kv_size(self) -> int:
        """Numbers in the keys of one token and layer; the values have as many."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def linears(self) -> list[tuple[int, int]]:
        """Inputs and outputs of a block's linear layers: q, k, v, o, gate, up, down."""
        hidden, kv, wide = self.hidden, self.kv_size, self.intermediate
        attention = [(hidden, hidden), (hidden, kv), (hidden, kv), (hidden, hidden)]
        return [*attention, (hidden, wide), (hidden, wide), (wide, hidden)]

    @property
    def block(self) -> int:
        """Weights of one block, with its two norms."""
        biases = self.hidden + 2 * self.kv_size if self.biased else 0
        return sum(a * b for a, b in self.linears) + biases + 2 * self.hidden

    @property
    def outside(self) -> int:
        """Weights outside of the blocks: embedding, head unless tied, last norm."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden

    @property
    def weights(self) -> int:
        """All weights."""
        return self.layers * self.block + self.outside

    def adapter(self, rank: int) -> int:
        """Weights of LoRA (arXiv 2106.09685) on every linear layer of every block."""
        return self.layers * rank * sum(a + b for a, b in self.linears)

    @property
    def cached_bytes(self) -> int:
        """Keys and values of one token in bf16, all layers."""
        return 2 * 2 * self.kv_size * self.layers
