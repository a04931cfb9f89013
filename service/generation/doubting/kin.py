"""Words that people use for one another: irregular forms and the commonest synonyms. English.

Written by hand from general knowledge. Each line is one group: the first word stands for
the others. A group need not be exact. What it joins is taken to be known, which only makes doubts
rarer.
"""

_GROUPS = """
buy bought purchase purchased
sell sold sale
teach taught teacher instructor professor lecturer faculty
write wrote written author writer
sing sang sung singer vocalist
drive drove driven driver
fly flew flown flight
pay paid payment
build built
win won winner
lose lost loser
spend spent
speak spoke spoken
choose chose chosen choice
grow grew grown growth
child children kid
man men male
woman women female
person people individual
foot feet
mouse mice
weigh weight weighed heavy heavier heaviest light lighter lightest
tall height taller tallest short shorter shortest
long length longer
wide width
deep depth deeper deepest
age old older oldest young younger youngest birthday born birth
death died dead die killed
fast speed faster fastest quick slow slower slowest
big size bigger biggest large larger largest
expensive price cost cheap cheaper cheapest fee priced
salary wage pay income earn earning compensation
store shop outlet
customer client buyer shopper
film movie
car vehicle automobile
employee worker staff personnel
student pupil
company firm business corporation enterprise organisation organization manufacturer maker
country nation
city town
song track
gender sex
phone telephone cellphone mobile cell tel
mail email
picture photo photograph image
booking reservation book
doctor physician
wife husband spouse
begin start began begun
end finish finished
job occupation profession position
place location located locate venue site
owner owned own
boss manager supervisor head
school college university
graduate graduation graduated degree
airplane plane aircraft
house home residence reside live lived
road street highway
state province
kind type category sort
product item goods merchandise
nickname alias
enroll enrolled enrolment enrollment
happen happened occur occurred event
participate participant participated competitor contestant
rating rated rate score grade
quantity amount number
"""


def _first_of_each() -> dict[str, str]:
    groups = [line.split() for line in _GROUPS.strip().splitlines()]
    found: dict[str, str] = {}
    for first, *others in groups:
        for word in (first, *others):
            found.setdefault(word, first)
    return found


KIN = _first_of_each()
"""Each word of a group to the group's first."""
