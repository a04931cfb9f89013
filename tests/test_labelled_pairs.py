"""bird_ex over HTTP against the verdicts of BIRD's unmodified evaluator, where they are at hand.

`labelled_pairs.jsonl` and its databases are not part of the project. They are looked for in
TEST_DATA_DIR, or in a folder `shared/data` beside the checkout.
"""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings

DATA = Path(os.environ.get("TEST_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
PAIRS = DATA / "labelled_pairs.jsonl"

pytestmark = pytest.mark.skipif(not PAIRS.exists(), reason=f"labelled pairs: no {PAIRS.name}")


def _groups() -> dict[tuple[str, str], list[dict[str, Any]]]:
    groups = defaultdict(list)
    for line in PAIRS.read_text().splitlines():
        pair = json.loads(line)
        groups[pair["db"], pair["gold"]].append(pair)
    return groups


def test_every_recorded_verdict_is_given(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, data_dir=str(DATA), engine="off")
    wrong, judged = [], 0
    with TestClient(create_app(settings)) as client:
        for (db_id, gold), pairs in _groups().items():
            body = {"db_id": db_id, "gold_sql": gold, "predictions": [p["pred"] for p in pairs]}
            verdicts = client.post("/verify", json=body).json()["verdicts"]
            for pair, verdict in zip(pairs, verdicts, strict=True):
                judged += 1
                if verdict["metrics"]["bird_ex"] != pair["bird_ex"]:
                    wrong.append((pair["id"], pair["pred"], verdict))
                earned = verdict["reward"] == 1.0
                assert not earned or pair["bird_ex"] == 1, pair["id"]
    assert wrong == []
    assert judged > 9000
