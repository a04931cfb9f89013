"""Whoever asks is told which tuned model answers; other adapters do not get mixed up with it."""

from pathlib import Path
from typing import Any

import pytest

from service import terminal
from service.engine.base import EngineModel
from service.engine.client import patience
from service.engine.server import LocalEngine
from service.engine.vllm import VllmOptions
from service.errors import AdapterRejected, InvalidRequest, UnknownModel
from service.models.adapter_files import check_adapter, other_base
from service.models.adapters import AdapterStore
from service.models.live_engine import LiveEngine
from service.models.registry import ServedModel
from tests.fixtures_adapters import tiny_adapter

NAME = "verisql-smollm2-135m"
TUNED = ServedModel(NAME, "gguf-sha256:b179c9523d0e", Path("/nowhere"), f"{NAME}@0123456789ab")


def _engine(tmp_path: Path) -> LocalEngine:
    options = VllmOptions(
        build="cpu",
        max_model_len=512,
        kv_cache_bytes=1,
        cache_dir=tmp_path,
        cpus=(),
        cpu_quota=None,
    )
    return LocalEngine(
        TUNED,
        options,
        log_path=tmp_path / "log",
        start_timeout_s=1,
        waits=patience(1),
        say=lambda line: None,
    )


@pytest.mark.parametrize(
    ("adapter", "merged", "served"),
    [(None, False, "base"), ("base@12", True, "base"), ("bird@12", False, "bird@12")],
)
def test_an_adapter_in_the_weights_has_no_name_of_its_own_at_the_server(
    adapter: str | None, merged: bool, served: str
) -> None:
    model = EngineModel("base", "r", adapter)
    assert (model.merged, model.served_name) == (merged, served)


def test_the_engine_names_base_revision_and_adapter_of_a_tuned_model(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    front = LiveEngine(engine)
    assert front.model == EngineModel(NAME, TUNED.revision, TUNED.adapter)
    assert engine.served == (NAME, TUNED.adapter)
    front.switch("bird@1")
    assert front.model == EngineModel(NAME, TUNED.revision, "bird@1")


def test_both_its_names_mean_the_tuned_model(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    for name in (None, NAME, TUNED.adapter):
        assert engine._named(name).served_name == NAME
    with pytest.raises(UnknownModel):
        engine._named(f"{NAME}@000000000000")


def test_an_adapter_of_the_base_is_none_of_the_tuned_model(tmp_path: Path) -> None:
    base = ServedModel("smollm2-135m-instruct", "r", tmp_path)
    said = "/cache/smollm2-135m-instruct@b179c9523d0e"
    assert other_base(said, TUNED) == base.name
    assert other_base(said, base) is None
    assert other_base(f"/cache/{NAME}@b179c9523d0e@0123456789ab", TUNED) is None
    assert other_base("HuggingFaceTB/SmolLM2-135M-Instruct", TUNED) == base.name
    with pytest.raises(AdapterRejected, match=f"{NAME} is served"):
        check_adapter(tiny_adapter(tmp_path / "a", base=said), TUNED, 16)


async def _register(store: AdapterStore, folder: Path, name: str) -> None:
    await store.register(folder, name, None, {})


def test_no_registered_adapter_takes_a_tuned_models_name(tmp_path: Path) -> None:
    import asyncio

    store = AdapterStore(tmp_path / "registered", [tmp_path], None, 16)
    store.open()
    with pytest.raises(InvalidRequest, match="be none of"):
        asyncio.run(_register(store, tiny_adapter(tmp_path / "a"), NAME))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "base", "adapter": None}, "Answered by base."),
        ({"name": "tuned", "adapter": "tuned@12"}, "Answered by tuned (tuned: adapter 12)."),
        ({"name": "base", "adapter": "bird@12"}, "Answered by base (tuned: adapter bird 12)."),
    ],
)
def test_ask_says_which_model_answered(
    model: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {
        "clarification": None,
        "sql": "SELECT 1",
        "explanation": None,
        "verified": False,
        "confidence": None,
        "warnings": [],
        "candidates": [],
        "result": {"columns": ["1"], "rows": [[1]], "truncated": False, "elapsed_ms": 0.1},
        "model": model,
    }
    terminal.show_answer(answer)
    assert said in capsys.readouterr().out
    terminal.show_answer(answer | {"verified": True})
    assert "Answered by" not in capsys.readouterr().out
