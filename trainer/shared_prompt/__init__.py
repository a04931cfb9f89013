"""One prompt, many completions: what they share is computed once, in sampling and in training.

    sampler.py    completions sampled from the policy
      reading.py    attention while prompts are read
      decoding.py   attention while completions are written, rows of slots.py
      drafts.py     the completions so far, and how a token is drawn
    scores.py     log-probabilities and entropies of completions, with gradients
      pack.py       a group as one row: the prompt, then its completions one behind the other
      scoring.py    attention in which completions see their prompt and themselves, not each other
    attend.py     how these take the place of a model's own attention
    support.py    which models that is right for

The arithmetic is that of the ordinary computation, in which every completion has a copy of the
prompt before it; tests compare both, gradients too (docs/training/shared-prompt.md).
"""
