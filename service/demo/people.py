"""Who works at Alpine Retail and who buys there: stores, employees, customers."""

from datetime import date

from service.demo.dice import Dice
from service.demo.names import CITIES, FIRST_NAMES, LAST_NAMES, ascii_name
from service.demo.rows import Customer, Employee, Store

STORES = (
    Store(1, "Innsbruck Altstadt", "Innsbruck", "Austria", 640.0, "2011-04-02", None),
    Store(2, "Salzburg Mirabell", "Salzburg", "Austria", 410.5, "2014-09-12", None),
    Store(3, "Zürich West", "Zürich", "Switzerland", 720.0, "2016-03-18", None),
    Store(4, "Chamonix Centre", "Chamonix", "France", 385.0, "2013-12-01", None),
    Store(5, "Grenoble Bastille", "Grenoble", "France", 410.5, "2018-05-25", None),
    Store(6, "Bolzano Portici", "Bolzano", "Italy", 298.75, "2019-06-14", None),
    Store(7, "Munich Isartor", "Munich", "Germany", 880.0, "2015-10-08", None),
    Store(8, "Annecy Lac", "Annecy", "France", 230.0, "2020-07-03", "2024-03-31"),
    Store(9, "Bern Marktgasse", "Bern", "Switzerland", 350.0, "2025-06-28", None),
)
"""Store 8 has closed; store 9 opened in the last days of the data and has sold nothing yet."""

HEAD_OFFICE = (
    ("Managing Director", None, 148000.0),
    ("Head of Retail", 1, 98500.0),
    ("Head of E-Commerce", 1, 96000.0),
    ("Head of Purchasing", 1, 96000.0),
    ("Finance Manager", 1, 88250.0),
    ("Buyer", 4, 61500.0),
    ("Buyer", 4, 58900.0),
    ("Web Developer", 3, 67000.0),
    ("Customer Service Agent", 3, 41200.0),
    ("Customer Service Agent", 3, 39800.0),
)
"""Job title, employee_id of the manager, salary."""
HEAD_OF_RETAIL = 2

ASSOCIATE_SALARIES = (33800.0, 34950.5, 36000.0, 37400.0, 39800.0)
FIRST_DAY = date(2023, 1, 1)
LAST_DAY = date(2025, 6, 30)


def stores() -> list[Store]:
    """All shops, the oldest ids first."""
    return list(STORES)


def employees() -> list[Employee]:
    """Head office first, then each shop's manager and sales associates."""
    dice = Dice("employees")
    names = dice.shuffled([(f, n) for f in FIRST_NAMES[:30] for n in LAST_NAMES[:30]])
    staff: list[Employee] = []
    for title, manager_id, salary in HEAD_OFFICE:
        hired = dice.day(date(2012, 1, 1), date(2022, 12, 31)).isoformat()
        number = len(staff) + 1
        staff.append(Employee(number, *names[number], title, None, manager_id, hired, None, salary))
    for store in STORES:
        staff += _shop_team(dice, store, names, len(staff) + 1)
    return staff


def _shop_team(
    dice: Dice, store: Store, names: list[tuple[str, str]], first_id: int
) -> list[Employee]:
    opened = date.fromisoformat(store.opened_on)
    salary = 49500.0 + 500 * dice.whole(0, 14)
    team = [
        Employee(
            first_id,
            *names[first_id],
            "Store Manager",
            store.store_id,
            HEAD_OF_RETAIL,
            store.opened_on,
            store.closed_on,
            salary,
        )
    ]
    for number in range(first_id + 1, first_id + 1 + dice.whole(3, 5)):
        hired = dice.day(opened, max(opened, date(2024, 11, 30)))
        # The first associate was there from the start, so that somebody always sells.
        hired = min(hired, max(opened, FIRST_DAY)) if number == first_id + 1 else hired
        team.append(_associate(dice, store, names[number], number, first_id, hired))
    return team


def _associate(
    dice: Dice, store: Store, name: tuple[str, str], number: int, manager_id: int, hired: date
) -> Employee:
    left = store.closed_on
    if left is None and number > manager_id + 1 and dice.chance(0.2):
        left = dice.day(max(hired, date(2024, 1, 1)), LAST_DAY).isoformat()
    if left is not None and hired.isoformat() > left:
        hired = date.fromisoformat(store.opened_on)
    return Employee(
        number,
        *name,
        "Sales Associate",
        store.store_id,
        manager_id,
        hired.isoformat(),
        left,
        dice.pick(ASSOCIATE_SALARIES),
    )


def customers() -> list[Customer]:
    """Customer accounts in the order in which they were opened."""
    dice = Dice("customers")
    joined = sorted(dice.day(date(2021, 1, 4), LAST_DAY) for _ in range(280))
    return [_customer(dice, number, day) for number, day in enumerate(joined, 1)]


def _customer(dice: Dice, number: int, joined: date) -> Customer:
    first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
    city, country = dice.early(CITIES, 2)
    born = dice.day(date(1948, 1, 1), date(2006, 12, 31)).isoformat()
    return Customer(
        customer_id=number,
        first_name=first,
        last_name=last,
        email=None
        if dice.chance(0.08)
        else f"{ascii_name(first)}.{ascii_name(last)}{number}"
        f"@{dice.pick(('mail.example', 'post.example', 'web.example'))}",
        city=city,
        country=country,
        birth_date=None if dice.chance(0.18) else born,
        joined_on=joined.isoformat(),
        loyalty_tier=dice.pick((None, None, None, "Bronze", "Bronze", "Bronze", "Silver", "Gold")),
        newsletter=int(dice.chance(0.45)),
    )
