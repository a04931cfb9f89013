"""What the tests of the trainer share: easy questions, runs, and a model that learns in seconds."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelUnavailable
from service.jobs.resources import WAITING_THREADS
from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import JobSpec, RunRequest
from service.models.registry import resolve_model
from service.settings import load_settings

ROOT = Path(__file__).parents[1]
PETS = """
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
INSERT INTO pets VALUES (1, 'Rex', 3), (2, 'Tom', 5), (3, 'Mia', 2);
"""
EASY = [
    ("Show all pets.", "SELECT * FROM pets"),
    ("List every column of every row of pets.", "SELECT * FROM pets"),
    ("What is in the table pets?", "SELECT * FROM pets"),
]
STATEMENTS = ["SELECT * FROM pets", "SELECT name FROM pets", "SELECT 1", "SELECT age FROM pets"]
TINY = {"group_size": 4, "prompts_per_step": 1, "max_completion_tokens": 16, "checkpoint_every": 1}


def write_pets(folder: Path) -> Path:
    """A data folder with a database of one table and three rows."""
    path = folder / "data" / "pets" / "pets.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(PETS)
    return folder / "data"


def write_questions(path: Path, pairs: list[tuple[str, str]], db_id: str = "pets") -> Path:
    """A file in BIRD's format."""
    rows = [{"db_id": db_id, "question": question, "SQL": gold} for question, gold in pairs]
    path.write_text(json.dumps(rows))
    return path


def make_run(
    folder: Path,
    model: Path,
    *,
    max_steps: int = 3,
    recipe: Sequence[str] = ("grpo",),
    parent: Path | None = None,
    about: Mapping[str, Any] | None = None,
    **hyperparameters: Any,
) -> RunDir:
    """A run directory for the easy questions; nothing is started. `about` is more of the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    questions = write_questions(folder / "questions.json", EASY)
    spec = JobSpec.model_validate(
        {
            "base_model": "test",
            "recipe": list(recipe),
            "train_data": str(questions),
            "hyperparameters": TINY | hyperparameters,
            "max_steps": max_steps,
            **(about or {}),
        }
    )
    run = RunDir(folder / "run")
    run.path.mkdir()
    data = write_pets(folder)
    run.create(
        RunRequest(
            job_id="job_test",
            spec=spec,
            base_model_path=model,
            train_data_path=questions,
            parent_adapter_path=parent,
            data_dirs=[data],
        )
    )
    return run


@contextmanager
def trainer(run: RunDir, *, log: str = "trainer.log") -> Iterator[subprocess.Popen[bytes]]:
    """`python -m trainer` on a run, in a process group of its own; killed if it still lives."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"} | WAITING_THREADS
    with (run.path / log).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "trainer", "--run-dir", str(run.path)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def train(run: RunDir) -> RunStatus:
    """Run to the end; gives the last status."""
    with trainer(run) as process:
        code = process.wait(timeout=240)
    status = run.status()
    assert status is not None, run.log_tail()
    assert (code == 0) == (status.state == "succeeded"), run.log_tail()
    return status


def wait_until(process: subprocess.Popen[bytes], look: Callable[[], bool], what: str) -> None:
    """Wait while the trainer runs; fails if it ends first, or after four minutes."""
    deadline = time.monotonic() + 240
    while not look():
        assert process.poll() is None, f"the trainer ended before {what}"
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def small_model() -> Path:
    """The 135M model, fetched on first use; the test is skipped where it cannot be had."""
    try:
        return resolve_model(
            "smollm2-135m-instruct", load_settings().models_path, lambda line: None
        ).path
    except ModelUnavailable as error:
        pytest.skip(f"smollm2-135m-instruct: {error.message}")


def bandit_model(folder: Path) -> Path:
    """A two-layer Llama whose every token is a whole statement: GRPO has a signal from the start.

    Prompts are unknown words to it. A statement ends in a comment sign, so that the first token of
    a completion decides and the others are comment.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import WhitespaceSplit
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        words = ["<unk>", "<end>", *(f"{statement} --" for statement in STATEMENTS)]
        vocabulary = {word: number for number, word in enumerate(words)}
        tokens = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        tokens.pre_tokenizer = WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=tokens, eos_token="<end>", pad_token="<end>", unk_token="<unk>"
        )
        tokenizer.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(words),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            eos_token_id=1,
            pad_token_id=1,
            bos_token_id=None,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
