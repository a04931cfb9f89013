"""English words that name no value by themselves: grammar, and the vocabulary of asking."""

_GRAMMAR = """
a about above after again against all also although always am among an and another any anybody
anyone anything are around as at away back be because become been before being below between both
but by can cannot could despite did do does doing done down due during each either else etc even
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
display distinct earliest entry equal equals exact exactly exist exists fewest field find first
following frequent full give given gives greater greatest group grouped have higher highest id ids
identify include included includes indicate indicates information largest last latest least length
less list lists longest lower lowest max maximum mean means min minimum name named names newest
number numbers occur old older oldest order ordered percent percentage please rank ratio record
records refer refers report respectively result results return row rows select show shortest
smallest sort sorted state sum table tell third top total type types unique use used uses using
value values want ways word young younger youngest
"""

COMMON_WORDS = frozenset(_GRAMMAR.split() + _ASKING.split())
"""Folded words; alone, and in small letters, none of them is looked for among the values."""
