"""The format that SkyRL-SQL asks for, in linear time."""

import re

_TOOL_TAG = re.compile(r"</?(?:think|sql|observation)\b", re.IGNORECASE)
_NO_THOUGHT_AFTER = re.compile(r"</observation>(?!\s*+<think>)", re.IGNORECASE)


def keeps_skyrl_format(completion: str) -> bool:
    """True for one <solution>...</solution> after thought, as SkyRL-SQL defines it.

    Exactly one <solution>, exactly one </solution> behind it, no think, sql or observation tag
    between the two; at least one <think>...</think> anywhere; every </observation> before the
    solution followed by <think>. What follows the solution does not matter, nor what stands in it.

    Source: NovaSky-AI/SkyRL@a956457 skyrl-gym/skyrl_gym/envs/sql/utils.py:21-43.
    """
    before, opened, tail = completion.partition("<solution>")
    solution, closed, after = tail.partition("</solution>")
    if not (opened and closed) or "<solution>" in tail or "</solution>" in after:
        return False
    if _TOOL_TAG.search(solution) or _NO_THOUGHT_AFTER.search(before):
        return False
    thought = completion.find("<think>")
    return thought >= 0 and completion.find("</think>", thought) >= 0
