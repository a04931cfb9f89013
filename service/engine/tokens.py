"""Count tokens as the model does."""


def upper_bound(text: str) -> int:
    """At least as many tokens as any tokenizer over bytes makes of the text."""
    return len(text.encode())
