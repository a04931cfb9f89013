"""English as far as it is needed: words that name no value, plurals, words made of others."""

_GRAMMAR = """
a about above after again against all also although always am among an and another any anybody
anyone anything are around as at away back be because become been before being below between both
but by can cannot could despite did do does doing down due during each either else etc even
ever every everyone everything few for from get gets got had has have having he her here hers him
his how however i if in including inside instead into is it its itself just kind let like many may
me might mine more most much must my near neither never no nobody none nor not nothing of off often
on once one only onto or other others our ours out outside over own per rather s same shall she
should since so some somebody someone something somewhere such t than that the their theirs them
then there these they thing things this those though through throughout till to together too toward
towards two three under until up upon us very via was we were what whatever when whenever where
wherever whether which whichever while who whoever whole whom whose why will with within without
would yet you your yours
"""
_ASKING = """
according alphabetical alphabetically amount answer appear ascending average avg based belong
belonging belongs biggest bottom calculate column compare compute contain containing contains
corresponding count define denote denotes descending describe detail details difference different
display distinct earliest entry equal equals exactly exist exists fewest field find first
following give greater greatest group grouped have higher highest id ids
identify include includes indicate indicates information largest last latest least length
less list lists longest lower lowest max maximum mean means min minimum name named names newest
number numbers occur old older oldest order ordered percent percentage please rank ratio record
records refer refers report respectively result results return row rows select show shortest
smallest sort sorted state sum table tell third top total type types unique use uses
value values want ways word young youngest
"""

COMMON_WORDS = frozenset(_GRAMMAR.split() + _ASKING.split())
"""Folded words; alone, and in small letters, none of them is looked for among the values."""

_SUFFIXES = "ing ed ful ian an n ese ish al ly er ness".split()
_SHORTEST_ROOT = 4
_ENDINGS = ("", "e", "y", "a")


def singular(word: str) -> str:
    """An English plural's likely singular; any other word as it is."""
    if word.endswith("s") and word[:-1].isdecimal():
        return word[:-1]
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word.removesuffix("s")


def plural(word: str) -> str:
    """An English noun's likely plural."""
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ch", "sh", "x", "s", "z")) else "s")


def roots(word: str) -> set[str]:
    """Words that this one may be made of: `italian` of italy, `failed` of fail (not only those)."""
    cut = {word.removesuffix(end) for end in _SUFFIXES if word.endswith(end)}
    long = [root for root in cut if len(root) >= _SHORTEST_ROOT]
    return {root + end for root in long for end in _ENDINGS}
