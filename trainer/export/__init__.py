"""A trained policy as a folder that others can use: weights, tokenizer, canary, model card.

source.py   which checkpoint of which run
base.py     the base model's public name, commit and licence
weights.py  the adapter in PEFT's layout, or merged weights in Hugging Face's
prompts.py  prompts of the run's own questions
card.py     README.md (card_data.py: its front matter; card_text.py: its sections)
policy.py   export_policy: all of it, whole or not at all; with canary.json (trainer/canary.py)
"""
