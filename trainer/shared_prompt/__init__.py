"""One prompt, many completions: what they share is computed once, in sampling and in training.

    pack.py       a group as one row: the prompt, then its completions one behind the other
    attend.py     attention in which completions see their prompt and themselves, not each other
    scores.py     log-probabilities and entropies of completions, with gradients
    sampler.py    completions sampled from the policy

The arithmetic is that of the ordinary computation, in which every completion has a copy of the
prompt before it; tests compare both, gradients too.
"""
