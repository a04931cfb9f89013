"""Requests that no database answers: a greeting, a change of the data. English."""

import re

from service.generation.doubting.doubt import Doubt

_LONGEST = 2_000
_POLITE = (
    r"(?:(?:please|kindly|now|then|ok|okay|hi|hello|hey|just|also)[\s,!.]+|"
    r"(?:can|could|would|will) you (?:please |kindly )?|i(?:'d| would) like (?:you )?to |"
    r"i (?:want|need) (?:you )?to |let's |let us |go ahead and |you (?:must|should) )*"
)
_CHANGE = re.compile(
    r"(?:^|[.;!?\n]\s*)\s*" + _POLITE + r"(?:"
    r"delete (?:from|all|the|every|each|any|this|that|these|those|my|our|his|her|their|an?|it|them|"
    r"everything|everyone|rows?|records?)\b|"
    r"delete \w+(?: \d+| (?:where|with|who|whose|which|that|named|called|older|from)\b|[\s.!]*$)|"
    r"insert (?:into|a|an|the|new|another|this|these|following|row|rows|record|records|values)\b|"
    r"(?:drop|truncate) (?:the |all |every |this |that )?(?:\w+ )?"
    r"(?:table|tables|database|schema|index|view|column|columns)\b|"
    r"truncate (?:table )?\w+\s*$|"
    r"update (?:the|all|every|each|any|my|our|this|that|these|those|an?|\w+ set)\b|"
    r"add (?:an?|another|new|this|these|the following|one more|(?:row|column|record|table)s?)"
    r" (?!column of|total|sum|average)\w|"
    r"(?:create|make|alter|rename) (?:an? |the |new )*(?:\w+ )?"
    r"(?:table|view|index|column|database|trigger|user)\b(?! of\b| with\b| showing\b| listing\b)|"
    r"(?:change|set|modify|edit|rename|replace|increase|decrease|raise|lower|reduce)"
    r" (?:the|all|every|each|his|her|their|my|our|its)\b"
    r"(?! (?:list|results?|output|answer|selection|range)\b).{0,120}?\b(?:to|by|with|as)\b|"
    r"remove (?!duplicat|the duplicat|any duplicat|all duplicat|repeat|null|blank|space)"
    r"(?:the|all|every|each|any|this|that|these|those|an?|from)\b"
    r")",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"\s*(?:(?:hi|hello|hey|howdy|greetings|good (?:morning|afternoon|evening|day|night)|"
    r"thanks?(?: you)?(?: (?:so|very) much)?|bye|goodbye|ok|okay|yes|no|"
    r"cheers|welcome|sorry|please|help|help me)(?: (?:there|all|everyone|bot|assistant|again))?"
    r"|how (?:are|is) (?:you|it going|things)(?: (?:doing|today))*"
    r"|(?:who|what) (?:are|made|built) you|what(?:'s| is) your name|what can you do"
    r"|how (?:do|does) (?:you|this) work"
    r"|(?:do|can) you (?:love|like|help|hear|speak|understand)(?: \w+)?)[\s!.?,]*",
    re.IGNORECASE,
)

READ_ONLY = (
    "Only reading is possible here: no request changes the data. Ask for what you want to see."
)
NO_QUESTION = "This is no question about the data."


def not_a_question(text: str) -> Doubt | None:
    """`cannot_answer` for a change of the data, small talk and a text without a word."""
    text = " ".join(text[:_LONGEST].replace("\u2019", "'").split())
    if _CHANGE.search(text):
        return Doubt("cannot_answer", READ_ONLY)
    parts = [part for part in re.split(r"[.!?,]+", text) if part.strip()]
    if not any(map(str.isalnum, text)) or all(_CHATTER.fullmatch(part) for part in parts):
        return Doubt("cannot_answer", NO_QUESTION)
    return None
