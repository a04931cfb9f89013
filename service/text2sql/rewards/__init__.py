"""From what became of a prediction to a reward: by published name, or by weights of one's own.

    outcome.py    what is rewarded
    published.py  the presets: execution, arctic, skyrl, sql_r1
    skyrl.py      the format that SkyRL-SQL asks for
    sql_r1.py     the format and the length bonus of SQL-R1
    weights.py    components that can be weighted
    check.py      refuse a reward that does not exist
    score.py      the one function that pays

All pure. A reward is always the sum of its components, to the last bit.
"""

from service.text2sql.rewards.check import check_reward
from service.text2sql.rewards.outcome import Outcome
from service.text2sql.rewards.published import PRESETS
from service.text2sql.rewards.score import score
from service.text2sql.rewards.weights import COMPONENTS

__all__ = ["COMPONENTS", "PRESETS", "Outcome", "check_reward", "score"]
