"""What each status earns."""

from typing import get_args

import pytest

from service.text2sql.reward import score
from service.text2sql.types import MASKED, Status


@pytest.mark.parametrize("status", get_args(Status))
def test_only_a_match_earns_and_masked_statuses_have_no_reward(status: Status) -> None:
    reward, components = score(status, "execution")
    if status in MASKED:
        assert (reward, components) == (None, {})
    else:
        assert reward == float(status == "match")
        assert components == {"execution": reward}
