"""A run's folder as a whole recipe leaves it, with made-up numbers and texts, hostile if wanted."""

import json
import math
import random
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import JobSpec, RunRequest

QUESTIONS = 12
OFFLINE, GRPO = 40, 120
KINDS = ("match", "mismatch", "error", "timeout", "no_sql", "masked")


def full_run(folder: Path, texts: list[str] | None = None) -> RunDir:
    """select, offline, grpo and evaluate have ended; `texts` stand wherever a text can."""
    said = texts or [f"How many <pets> are older than {n}?" for n in range(QUESTIONS)]
    run = RunDir(folder / "run")
    run.create(_request(folder, said))
    dice = random.Random(0)
    _training(run, dice)
    _rollouts(run, said)
    _candidates(run, said, dice)
    _stages(run, said)
    run.append_event("info", "data", said[0], rows=118)
    dropped = {"gold_empty": 14, said[1 % len(said)]: 3}
    run.append_event("warning", "data_dropped", said[0], dropped=dropped)
    run.write_status(RunStatus(state="succeeded", step=160, max_steps=160))
    checkpoint = run.checkpoints_path / "step_160"
    checkpoint.mkdir(parents=True)
    manifest = {"verifier_version": "0.1.0+verdicts-2", "base_weights_sha256": "ab" * 32}
    about = {"prompt_templates": {said[0]: 118}, "seed": 0}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest | about))
    return run


def _request(folder: Path, texts: list[str]) -> RunRequest:
    rows = [
        {"db_id": "pets", "question_id": str(n), "question": t, "evidence": t, "SQL": t or "x"}
        for n, t in enumerate(texts)
    ]
    train = folder / "train.json"
    train.write_text(json.dumps(rows))
    spec = {
        "name": texts[0][:200],
        "base_model": texts[0],
        "recipe": ["select", "offline", "grpo", "evaluate"],
        "train_data": "train.json",
        "dev_data": "dev.json",
        "max_steps": GRPO,
        "hyperparameters": {"learning_rate": 3e-5, "beta": 0.01, "offline": {"samples": 16}},
        "metadata": {"note": texts[0][:500]},
    }
    return RunRequest(
        job_id="job_test",
        spec=JobSpec.model_validate(spec),
        base_model_path=folder / "model",
        train_data_path=train,
        dev_data_path=folder / "dev.json",
        data_dirs=[folder],
    )


def _training(run: RunDir, dice: random.Random) -> None:
    for step in range(1, OFFLINE + 1):
        loss = 1.2 * math.exp(-step / 15) + 0.3 + dice.uniform(-0.05, 0.05)
        row = {"step": step, "stage": "offline", "loss": loss, "learning_rate": 1e-4}
        run.append_metrics(row | {"grad_norm": dice.uniform(0.5, 1), "seconds": 20.0})
    for step in range(OFFLINE + 1, OFFLINE + GRPO + 1):
        run.append_metrics(_grpo_row(step, dice))
    run.append_metrics({"step": 160, "stage": "evaluate", "point": "base", "dev_accuracy": 0.5})


def _grpo_row(step: int, dice: random.Random) -> dict[str, Any]:
    done = (step - OFFLINE) / GRPO
    right = min(32, max(0, round(32 * (0.4 + 0.25 * done + dice.uniform(-0.15, 0.15)))))
    rest = 32 - right
    counts = [right, rest - rest // 2, rest // 3, 0, rest // 2 - rest // 3, 0]
    counts[3 if step % 7 == 0 else 5] += 1
    counts[1] = max(0, counts[1] - 1)
    return {
        "step": step,
        "stage": "grpo",
        "reward": right / 32,
        "useful_groups": 0.7 - 0.3 * done + dice.uniform(-0.1, 0.1),
        "verdicts": dict(zip(KINDS, counts, strict=True)),
        "completion_tokens": 42 - 8 * done + dice.uniform(-3, 3),
        "entropy": 0.35 * math.exp(-done) + dice.uniform(-0.02, 0.02),
        "kl": 0.02 * done + dice.uniform(0, 0.002),
        "loss": dice.uniform(-0.05, 0.05),
        "grad_norm": dice.uniform(0.1, 0.4),
        "learning_rate": 3e-5 * min(1.0, (step - OFFLINE) / 10),
        "tokens": (step - OFFLINE) * 18_000,
        "seconds": 31.5,
        "peak_memory_mb": 6200,
    }


def _rollouts(run: RunDir, texts: list[str]) -> None:
    for step in range(OFFLINE + 1, OFFLINE + GRPO + 1):
        number = step % len(texts)
        for sample in range(4):
            right = (step * 7 + sample) % 10 < 3 + step // 25
            row = {"step": step, "question_id": str(number), "db_id": "pets"}
            text = f"```sql\nSELECT count(*) FROM pets WHERE age > {sample * (not right)}\n```"
            said = {"completion": text + texts[number], "sql": texts[number]}
            status = "match" if right else "mismatch"
            message = None if right else texts[number]
            run.append_rollout(row | said | {"status": status, "reward": float(right),
                                             "message": message})  # fmt: skip


def _candidates(run: RunDir, texts: list[str], dice: random.Random) -> None:
    path = run.path / "stages" / "offline" / "candidates.jsonl"
    path.parent.mkdir(parents=True)
    lines = []
    for number in range(118):
        chance = dice.random() ** 2
        for template in ("ddl-v2", texts[0]):
            judged = [dice.random() < chance for _ in range(8)]
            completions = [
                {"text": texts[0], "status": "match" if r else texts[-1], "reward": float(r)}
                for r in judged
            ]
            line = {"question_id": str(number), "db_id": "pets", "template": template}
            lines.append(json.dumps(line | {"completions": completions}))
    path.write_text("\n".join(lines) + "\n")


def _stages(run: RunDir, texts: list[str]) -> None:
    policy = {"base_model": texts[0], "template": texts[0], "temperature": 0.0}
    offline = {"questions": 118, "candidates": 1888, "mean_reward": 0.3312, "all_right": 9,
               "all_wrong": 21, "not_judged": 0, "trained_questions": 97,
               "trained_completions": 311, "sampled_tokens": 80_000}  # fmt: skip
    told = {"select": _select(texts), "offline": offline, "grpo": {}, "evaluate": _points(texts)}
    for stage, numbers in told.items():
        found = {"stage": stage, "policy": policy | {"checkpoint": 160}, "steps": 160}
        text = json.dumps(found | {"seconds": 900.0, "numbers": numbers})
        (run.path / "stages" / f"{stage}.json").write_text(text)


def _select(texts: list[str]) -> dict[str, Any]:
    counts = (("ddl-v2", [30, 61]), ("light-v1", [20]), ("m_schema-v1", [27, 50]))
    arms = [
        {
            "number": number,
            "base_model": texts[0],
            "template": name,
            "temperature": 0.0,
            "rounds": [{"right": r, "judged": 50 * 2**n} for n, r in enumerate(rights)],
            "dropped_in_round": None if number == 0 else len(rights),
        }
        for number, (name, rights) in enumerate(counts)
    ]
    return {"metric": "bird_ex", "winner": 0, "rounds": [], "arms": arms, "figure": texts[1]}


def _points(texts: list[str]) -> dict[str, Any]:
    rights = {"base": 251, "offline_step_40": 290, "grpo_step_100": 318, texts[0]: 331}
    points: list[dict[str, Any]] = []
    for name, right in rights.items():
        point: dict[str, Any] = {
            "name": name,
            "stage": "grpo",
            "checkpoint": 160 if points else None,
            "accuracy": {"bird_ex": {"right": right, "judged": 567}},
            "tokens": {"prompt": 300_000, "completion": 20_000},
            "seconds": 300.0,
        }
        if points:
            won = right - 251 + 12
            point["to_base"] = {
                "bird_ex": {"to": "base", "both": 239, "lost": 12, "won": won,
                            "neither": 567 - 251 - won}}  # fmt: skip
        points.append(point)
    return {"metric": "bird_ex", "best": texts[0], "best_checkpoint": 160, "points": points}
