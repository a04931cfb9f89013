"""Text that others wrote, made harmless before it stands in a prompt.

Names, declared types, values and descriptions come from a database file, questions and hints from
anybody. None of them may end the line or comment that it stands in, nor look to the tokenizer like
the end of a message:

- Control characters and every kind of line break become blanks; characters that steer or hide text
  (bidirectional overrides, Unicode tags, annotation anchors) are dropped; lone surrogates become
  U+FFFD. Other characters stay, since a name or value has to be repeated exactly.
- Special tokens of chat templates are broken by a blank after their first character, whatever the
  model: `<|...` (U+FF5C for the bar too) always, `<word>` and `</word>` (so `<s>`, `<think>`,
  `<start_of_turn>`, `<<SYS>>`), and those known in square brackets (`[INST]`, `[gMASK]`).
  `<|im_end|>` is then `< |im_end|>`: readable, and no token.
- Three or more backticks, a code fence, become as many apostrophes.

What stays possible is to *say* something to the model on a line of one's own comment. No text can
rule that out; that nothing but one read-only statement ever runs is the sandbox's work.
"""

import re

_BREAKS = r"\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029"
_STEERING = r"\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f"
_SURROGATES = r"\ud800-\udfff"
_IN_A_TEXT = re.compile(f"([{_BREAKS}])|([{_STEERING}])|[{_SURROGATES}]")
_IN_A_LINE = re.compile(rf"([\n{_BREAKS}])|([{_STEERING}])|[{_SURROGATES}]")
_BAR = "|\uff5c"
_BRACKETED = (
    "/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK)"
    "|TOOL_CALLS|ARGS|CALL_ID|IMG(?:_BREAK|_END)?|AUDIO|BEGIN_AUDIO|PREFIX|MIDDLE|SUFFIX|BOS|EOS"
    r"|PAD\d*|UNK|CLS|SEP|[gs]?MASK|UNUSED_TOKEN_\d+|unused\d+|control_\d+"
)
_TOKEN = re.compile(rf"<(?=[{_BAR}]|/?[A-Za-z_][\w.:▁-]{{0,60}}>)|\[(?=(?:{_BRACKETED})\])")
_FENCE = re.compile("`{3,}")


def visible(text: str) -> str:
    """The text on one line, every visible character as it was: for names and values."""
    return text if text.isprintable() else _IN_A_LINE.sub(_instead, text)


def one_line(text: str, longest: int) -> str:
    """The text on one line, blanks collapsed; over `longest` characters it ends in an ellipsis."""
    line = " ".join(visible(text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def without_tokens(text: str) -> str:
    """A whole message's text, of any number of lines, without special tokens and fences."""
    if not text.replace("\n", "").isprintable():
        text = _IN_A_TEXT.sub(_instead, text)
    text = _TOKEN.sub(lambda found: found[0] + " ", text)
    return _FENCE.sub(lambda found: "'" * len(found[0]), text)


def _instead(found: re.Match[str]) -> str:
    blank, steering = found.groups()
    return " " if blank else "" if steering else "\ufffd"
