"""Does the server compute an adapter as its trainer did: recorded answers, token by token.

A trainer leaves canary.json beside an adapter: prompts, its own greedy answers to them, and the
log-probability of each token of these. The server is asked what comes next after the very same
tokens, so a difference is one of weights or arithmetic and not of another answer.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from service.engine.base import AdapterEngine, Message, Sampling
from service.errors import TooLarge
from service.generation.together import together
from service.models.adapter_files import CANARY
from service.models.check import Check

_MOST_BYTES = 8_000_000
_PLACES = 16
"""Of an answer, spread evenly: a request each, all but the end of which the server has cached."""
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class Recorded(BaseModel):
    """One prompt and the trainer's answer to it."""

    messages: list[Message]
    prompt_tokens: Annotated[list[TokenId], Field(min_length=1, max_length=65_536)]
    """The messages by the trainer's chat template, with the opening of the answer."""
    tokens: Annotated[list[TokenId], Field(min_length=1, max_length=4096)]
    logprobs: list[FiniteFloat]
    """Of each token, in nats."""

    @model_validator(mode="after")
    def _one_for_each(self) -> "Recorded":
        if len(self.logprobs) != len(self.tokens):
            raise ValueError("`logprobs` must be as many as `tokens`")
        return self


class _File(BaseModel):
    items: Annotated[list[Recorded], Field(min_length=1, max_length=32)]


@dataclass(frozen=True, slots=True)
class _Compared:
    differences: list[float]
    """|server - trainer| of each token, nats."""
    same_prompt: bool


def read_record(folder: Path) -> list[Recorded]:
    """What a trainer left in an adapter's folder, nothing where it left none; raises ValueError."""
    path = folder / CANARY
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{CANARY} is over {_MOST_BYTES} bytes")
        return _File.model_validate_json(path.read_bytes()).items
    except FileNotFoundError:
        return []
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{CANARY} cannot be read: {place}: {first['msg']}") from error
    except OSError as error:
        raise ValueError(f"{CANARY} cannot be read: {error.strerror}") from error


async def parity(engine: AdapterEngine, name: str, folder: Path, tolerance: float) -> list[Check]:
    """`trainer_prompt` and `trainer_logprob` of the model `name`; nothing without a record.

    `tolerance` is on the mean difference, nats per token. Raises what the engine raises.
    """
    try:
        recorded = await asyncio.to_thread(read_record, folder)
    except ValueError as error:
        return [Check("trainer_logprob", False, None, None, str(error))]
    if not recorded:
        return []
    answers = await together(_compared(engine, name, item) for item in recorded)
    found = [one for one in answers if one is not None]
    if not found:
        why = "every recorded answer is over the server's context"
        return [Check("trainer_logprob", False, None, None, why)]
    return [_prompts(found), _logprobs(found, tolerance)]


async def _compared(engine: AdapterEngine, name: str, item: Recorded) -> _Compared | None:
    """None where the record is longer than the server takes."""
    places = range(0, len(item.tokens), -(-len(item.tokens) // _PLACES))
    try:
        asked = await engine.complete(item.messages, Sampling(max_tokens=1), model=name)
        differences = await together(_off(engine, name, item, place) for place in places)
    except TooLarge:
        return None
    return _Compared(differences, asked.prompt_tokens == len(item.prompt_tokens))


async def _off(engine: AdapterEngine, name: str, item: Recorded, place: int) -> float:
    """At one place, nats; infinite where the server has the token not among the likeliest."""
    before = [*item.prompt_tokens, *item.tokens[:place]]
    likely = await engine.next_tokens(before, model=name)
    return abs(likely.get(item.tokens[place], -math.inf) - item.logprobs[place])


def _prompts(found: Sequence[_Compared]) -> Check:
    other = sum(not one.same_prompt for one in found)
    said = f"of {len(found)} prompts; the server's chat template gives these another length"
    return Check("trainer_prompt", other == 0, float(other), 0.0, said)


def _logprobs(found: Sequence[_Compared], tolerance: float) -> Check:
    every = [difference for one in found for difference in one.differences]
    mean = fmean(every)
    said = (
        f"mean difference over {len(every)} tokens of {len(found)} answers, nats; "
        f"the largest is {max(every):.3g}"
    )
    finite = math.isfinite(mean)
    return Check(
        "trainer_logprob", finite and mean <= tolerance, mean if finite else None, tolerance, said
    )
