"""The model's own turn in a text that may still hold the marks of a chat template.

Templates read: ChatML (Qwen, Phi-4), Llama 2, 3 and 4, Mistral, Gemma 2 to 4, Phi-3, Zephyr, GLM,
DeepSeek, Granite, Command R, EXAONE, Kimi, and harmony (gpt-oss). A text that begins with the mark
of a sequence or with another's turn is a whole conversation: the last turn of the model that is
not empty counts. Any other text is a completion: it ends at its first mark of an end, since a model
that goes on to write both sides has given its answer before.
"""

import re

from service.text2sql.completion.marks import STRING

_BAR = "[|\uff5c]"  # DeepSeek's bars are of full width.
_ROLE = r"assistant|model|user|system|developer|tool|ipython|observation"
_HEADER = re.compile(
    rf"""
      (?:<\|(?:im_start|start_header_id|header_start|start_of_role|start)\|>|<start_of_turn>|<\|turn>)
      [ ]?(?P<named>{_ROLE})\b
      (?:<\|(?:im_sep|end_header_id|header_end|end_of_role)\|>)?
    | <{_BAR}(?:im_)?(?P<token>{_ROLE}){_BAR}>(?:\w{{1,20}}<\|im_middle\|>)?
    | \[\|(?P<square>{_ROLE})\|\]
    | <\|START_OF_TURN_TOKEN\|><\|(?P<command>CHATBOT|USER|SYSTEM)_TOKEN\|>
    | (?P<inst>\[/?INST\])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MODEL = frozenset({"assistant", "model", "chatbot", "[/inst]"})
_BEGIN = re.compile(
    rf"\A\s*+(?:<s>|<bos>|<\|(?:begin_of_text|startoftext)\|>"
    rf"|<{_BAR}begin\u2581of\u2581sentence{_BAR}>)"
)
_OPENED = re.compile(r"<\|im_start\|>|assistant(?=\r?\n)")
_ENDS = (
    rf"<{_BAR}[A-Za-z0-9_\u2581]{{1,40}}{_BAR}>|<(?:end|start)_of_turn>|<\|turn>|<turn\|>"
    r"|</s>|<eos>|<seed:eos>|\[/INST\]|\[\|[a-z]{1,20}\|\]"
)
_ANY_END = re.compile(_ENDS)
_END = re.compile(rf"{STRING}|(?P<end>{_ENDS})")
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")
_FINAL = re.compile(
    r"<\|channel\|>\s{0,4}final\b[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
)
_BARE_FINAL = "assistantfinal"


def own_turn(text: str) -> str:
    """What the model itself answered or thought, without the marks around it."""
    text = _BOX.sub("", text.removeprefix("\ufeff"))
    if "<|channel|>" in text:
        return _harmony(text)
    if text.startswith(("analysis", _BARE_FINAL)) and _BARE_FINAL in text:
        # Harmony again, decoded without its special tokens.
        return text.rpartition(_BARE_FINAL)[2]
    begun = bool(_BEGIN.match(text))
    text = _BEGIN.sub("", text, count=1).lstrip()
    header = _HEADER.match(text)
    if begun or (header and not _is_model(header)):
        return _last_turn(text)
    opened = header or _OPENED.match(text)
    return _until_end(text[opened.end() :] if opened else text)


def _harmony(text: str) -> str:
    """The last message to the user; what was thought or said to tools is no answer."""
    finals = list(_FINAL.finditer(text, max(text.rfind("<|start|>user"), 0)))
    return _until_end(text[finals[-1].end() :]) if finals else ""


def _last_turn(text: str) -> str:
    headers = list(_HEADER.finditer(text))
    if not headers:
        return _until_end(text)
    ends = [header.start() for header in headers[1:]] + [len(text)]
    for header, end in zip(reversed(headers), reversed(ends), strict=True):
        turn = _until_end(text[header.end() : end]) if _is_model(header) else ""
        if turn.strip():
            return turn
    return ""


def _is_model(header: re.Match[str]) -> bool:
    return (header[header.lastgroup or 0] or "").lower() in _MODEL


def _until_end(text: str) -> str:
    if not _ANY_END.search(text):
        return text
    for found in _END.finditer(text):
        if found["end"]:
            return text[: found.start()]
    return text
