"""Names of people and places, as they are written in the Alps."""

import unicodedata

_FIRST_NAMES = (
    "Anna Lukas Élodie Matteo Sophie Jonas Camille Lorenzo Greta Maximilian Chloé Giulia Felix "
    "Lena Hugo Chiara Tobias Manon Andreas Léa Stefan Francesca Julien Katharina Marco Noémie "
    "Florian Elisa Benoît Johanna Simon Alessia Théo Magdalena Davide Clara Urs Aurélie Sepp "
    "Beatrice Reto Zoë Pierre Veronika Luca Ines Jürg Marie Hannes Silvia"
)
FIRST_NAMES = tuple(_FIRST_NAMES.split())

_LAST_NAMES = (
    "Gruber|Huber|Müller|Rossi|Martin|Meier|Bernard|Hofer|Dubois|Mair|Keller|Moser|Petit|"
    "Schneider|Ferrari|Steiner|Roux|Pichler|Bianchi|Weber|Favre|Egger|Moreau|Kofler|Fischer|"
    "Blanc|Berger|Conti|Brunner|Girard|Zimmermann|Thaler|Lefèvre|Wyss|Ricci|Auer|D'Angelo|"
    "Bauer|Perrin|Frei|Plattner|Garnier|Graf|De Luca|Lechner|Chevalier|Baumann|Gasser|Marchetti|"
    "von Arx"
)
LAST_NAMES = tuple(_LAST_NAMES.split("|"))

CITIES = (
    ("Munich", "Germany"),
    ("Innsbruck", "Austria"),
    ("Zürich", "Switzerland"),
    ("Grenoble", "France"),
    ("Salzburg", "Austria"),
    ("Lyon", "France"),
    ("Bolzano", "Italy"),
    ("Bern", "Switzerland"),
    ("Chamonix", "France"),
    ("Milan", "Italy"),
    ("Annecy", "France"),
    ("Stuttgart", "Germany"),
    ("Graz", "Austria"),
    ("Trento", "Italy"),
    ("Garmisch-Partenkirchen", "Germany"),
    ("St. Gallen", "Switzerland"),
    ("Aosta", "Italy"),
    ("Vaduz", "Liechtenstein"),
)
"""City and country; those in front have more customers."""


def ascii_name(name: str) -> str:
    """The name as it stands in an e-mail address: no accents, no blanks, no apostrophes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(c for c in plain.lower() if c.isalpha())
