"""Offline RL: the model's own candidates, scored by execution, then an update on the scores.

    candidates.py   sample and score, one line a question in candidates.jsonl
    consensus.py    scores without gold: what the executed candidates agree on
    examples.py     from candidates to what is trained on
    objectives.py   the losses
    trainer.py      the loop
    stage.py        all of it

TAO (Databricks, 2025) as far as it is public: generate with several prompts, score, update.
"""
