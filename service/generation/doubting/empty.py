"""Words that say nothing of a subject though no schema has them: units, numbers, sorting, filler."""

from service.generation.doubting.words import family

_UNITS = """
mile meter metre kilometer kilometre centimeter inch foot feet yard acre hectare square cubic gallon
liter litre kilogram gram pound ounce ton tonne hour minute second day week month year decade
dollar euro cent usd eur percent million billion thousand hundred dozen degree celsius fahrenheit
century watt volt hertz byte
"""
_SORTING = """
alphabetical lexicographical lexicographic chronological reverse reversed sorting sequence
"""
_NUMBERS = """
one two three four five six seven eight nine ten eleven twelve first second third fourth fifth sixth
seventh eighth ninth tenth half double twice
"""
_FILLER = """
approximately roughly currently possibly actually exactly precisely overall simply entire existence
database data dataset info query question far ever please output
"""

EMPTY = frozenset(map(family, f"{_UNITS} {_SORTING} {_NUMBERS} {_FILLER}".split()))
"""Families of words."""
