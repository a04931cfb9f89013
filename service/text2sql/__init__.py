"""The task itself: schema, prompt, completion, comparison, reward, verifier."""
