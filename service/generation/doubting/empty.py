"""Words that say nothing of a subject though no schema has them: units, numbers, verbs, filler."""

from service.generation.doubting.words import family

_UNITS = """
mile meter metre kilometer kilometre centimeter inch foot feet yard acre hectare square cubic
gallon liter litre kilogram gram pound ounce ton tonne hour minute second day week month year
decade dollar euro cent usd eur percent million billion thousand hundred dozen celsius fahrenheit
century watt volt hertz byte
"""
_SORTING = """
alphabetical lexicographical lexicographic chronological reverse reversed sorting sequence
"""
_NUMBERS = """
one two three four five six seven eight nine ten eleven twelve first second third fourth fifth
sixth seventh eighth ninth tenth half double twice
"""
_VERBS = """
ask become begin believe bring call change come consist fall feel gave give given go goes going
gone got happen held hold keep kept know known last leave left let look made make meet met move
need offer pass provide put reach read receive run ran remain said saw say seem seen sent set sit
stand stay stood stop take taken took think told try turn used visit wait want wear went work
"""
_QUALITIES = """
bad better big certain early entire good great late likely main new recent similar single small
whole worse
"""
_FILLER = """
approximately roughly currently possibly actually exactly precisely overall simply existence
database data dataset info query question far ever please output
"""

EMPTY = frozenset(
    map(family, f"{_UNITS} {_SORTING} {_NUMBERS} {_VERBS} {_QUALITIES} {_FILLER}".split())
)
"""Families of words."""
