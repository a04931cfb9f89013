"""Rewards of published work, by the name that the field gives them.

Each docstring gives the formula, the range, what every status earns, and the source. In all of them
`error` stands for syntax_error, exec_error, forbidden, timeout and too_large. Masked statuses never
come here (score.py).

Formats. `skyrl` and `sql_r1` punish a bad format. Which format that is follows `extract`: with
the work's own tag (`solution_tag`, `answer_tag`) and with `auto` it is the published one; with
another mode it is that mode's own (completion/strict.py), since a model that was asked for a
fence cannot be blamed for a missing tag; with `none` the prediction is SQL without any format, and
only no_sql is bad. A query that matches in a bad format earns the bad format's reward.
"""

from collections.abc import Callable

from service.text2sql.completion import keeps_format
from service.text2sql.rewards.outcome import Components, Outcome
from service.text2sql.rewards.skyrl import keeps_skyrl_format
from service.text2sql.rewards.sql_r1 import length_bonus, read_response


def execution(outcome: Outcome) -> Components:
    """1 for a match, 0 for anything else; range {0, 1}.

    match 1; mismatch, no_sql, error 0. The reward of Databricks' RLVR on BIRD (arXiv 2509.21459,
    section 3): nothing is paid for SQL that merely runs, since that is the first thing a policy
    learns to exploit.
    """
    return {"execution": float(outcome.status == "match")}


def arctic(outcome: Outcome) -> Components:
    """1 for a match, 0.1 for SQL that runs but is wrong, 0 otherwise; range {0, 0.1, 1}.

    match 1; mismatch 0.1; no_sql, error 0. The reward of Arctic-Text2SQL-R1's paper (arXiv
    2505.20315, its reward section). The code that was published with the SkyRL integration
    (NovaSky-AI/SkyRL@a956457 integrations/arctic_rl/envs/bird_reward.py:248-299) pays 0.1 for
    errors and timeouts too once the thinking tags are in place, its format floor, and runs every
    query with LIMIT 5000, which makes right answers of more rows wrong; neither is done here.
    """
    return {"execution": {"match": 1.0, "mismatch": 0.1}.get(outcome.status, 0.0)}


def skyrl(outcome: Outcome) -> Components:
    """1 for a match, 0 for a miss, -1 for a bad format; range {-1, 0, 1}.

    In good format: match 1; mismatch, error 0, and so is no_sql (a solution that is only a
    comment). In bad format: -1, whatever the status. With `extract` none, no_sql is -1.

    Source: SkyRL-SQL, NovaSky-AI/SkyRL@a956457 skyrl-gym/skyrl_gym/envs/sql/utils.py:103-124.
    """
    if not _skyrl_format(outcome):
        return {"format": -1.0, "execution": 0.0}
    return {"format": 0.0, "execution": float(outcome.status == "match")}


def _skyrl_format(outcome: Outcome) -> bool:
    if outcome.extract in ("solution_tag", "auto"):
        return keeps_skyrl_format(outcome.completion)
    return keeps_own_format(outcome)


def sql_r1(outcome: Outcome) -> Components:
    """Format + execution + result + length; range [-1, 7.5].

    bad format   -1           = -1  +0 +0 +0, whatever the status
    error        -1           = +1  -2 +0 +0; no_sql in good format too
    mismatch      0           = +1  +2 -3 +0
    match         6 to 7.5    = +1  +2 +3 + length

    length = 0.5 * min(1, (thought + answer) / 2048) + sql / answer, in characters (sql_r1.py). It
    is measured in the published format; in another one there is no answer tag to measure: 0.

    Source: arXiv 2504.08600 (the reward function: format, execution, result, length) and
    IDEA-FinAI/SQL-R1@9d7f923 verl/utils/reward_score/synsql.py:118-224. Not repeated from that
    code: a gold that fails counts as a match (`==` for `=` in exec_eval.py; here it is masked);
    white space collapsed before running, so that a `--` comment eats the query; a ValueError where
    the header of the assistant's turn is missing. What counts as a match is the request's first
    metric; SQL-R1 itself compares as `spider_exec` does.
    """
    published = outcome.extract in ("answer_tag", "auto")
    response = read_response(outcome.completion) if published else None
    if not (response if published else keeps_own_format(outcome)):
        return {"format": -1.0, "execution": 0.0, "result": 0.0, "length": 0.0}
    if not outcome.ran:
        return {"format": 1.0, "execution": -2.0, "result": 0.0, "length": 0.0}
    right = outcome.status == "match"
    length = length_bonus(response) if right and response else 0.0
    return {
        "format": 1.0,
        "execution": 2.0,
        "result": 3.0 if right else -3.0,
        "length": length,
    }


def keeps_own_format(outcome: Outcome) -> bool:
    """True if the completion keeps the format of its extract mode (completion/strict.py)."""
    if outcome.extract == "none":
        return outcome.status != "no_sql"
    return keeps_format(outcome.completion, outcome.extract)


PRESETS: dict[str, Callable[[Outcome], Components]] = {
    "execution": execution,
    "arctic": arctic,
    "skyrl": skyrl,
    "sql_r1": sql_r1,
}
