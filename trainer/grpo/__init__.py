"""The online stage: GRPO with the execution reward, on TRL's trainer."""
