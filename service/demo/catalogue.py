"""What Alpine Retail sells and buys: categories, products, suppliers and their offers."""

from datetime import date
from typing import NamedTuple

from service.demo.dice import Dice
from service.demo.names import ascii_name
from service.demo.rows import Category, Product, ProductSupplier, Supplier


class Kind(NamedTuple):
    """How the products of one category look."""

    category: str
    sku_prefix: str
    nouns: tuple[str, ...]
    products: int
    price: tuple[int, int]
    """Euros, lowest and highest."""
    weight_g: tuple[int, int]


DEPARTMENTS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    (
        "Clothing",
        (
            Kind("Jackets", "JKT", ("Shell Jacket", "Down Jacket"), 8, (99, 420), (260, 720)),
            Kind("Base Layers", "BAS", ("Merino Shirt", "Merino Tights"), 6, (35, 98), (110, 240)),
            Kind(
                "Trousers",
                "TRS",
                ("Trekking Trousers", "Softshell Pants"),
                7,
                (59, 220),
                (280, 610),
            ),
        ),
    ),
    (
        "Footwear",
        (
            Kind("Hiking Boots", "BOO", ("Boot", "Mid GTX Boot"), 8, (119, 330), (780, 1650)),
            Kind("Trail Running Shoes", "TRL", ("Trail Shoe",), 6, (89, 190), (420, 690)),
        ),
    ),
    (
        "Camping",
        (
            Kind("Tents", "TNT", ("1P Tent", "2P Tent", "3P Tent"), 7, (149, 890), (980, 3400)),
            Kind("Sleeping Bags", "SLB", ("Down Bag", "Synthetic Bag"), 6, (79, 540), (520, 1900)),
            Kind("Stoves", "STV", ("Gas Stove", "Stove System"), 4, (35, 210), (73, 480)),
        ),
    ),
    (
        "Climbing",
        (
            Kind("Harnesses", "HRN", ("Harness",), 4, (49, 149), (160, 420)),
            Kind(
                "Ropes", "ROP", ("Single Rope 60 m", "Half Rope 50 m"), 5, (89, 260), (2400, 4100)
            ),
            Kind("Ice Tools", "ICE", ("Ice Axe",), 0, (99, 310), (310, 680)),
        ),
    ),
    (
        "Equipment",
        (
            Kind("Daypacks", "DAY", ("Daypack 18 L", "Daypack 25 L"), 6, (49, 160), (430, 1100)),
            Kind("Trekking Packs", "PCK", ("Pack 45 L", "Pack 65 L"), 5, (120, 340), (1250, 2300)),
            Kind("Headlamps", "LMP", ("Headlamp",), 5, (19, 130), (35, 160)),
            Kind("Poles", "POL", ("Carbon Poles", "Alu Poles"), 5, (39, 180), (330, 560)),
        ),
    ),
)
"""Each department with its categories. `Ice Tools` is planned: no product yet."""

_MODELS = (
    "Ridgeline Summit Glacier Larch Marmot Edelweiss Tarn Couloir Névé Serac Ibex Alpenglow "
    "Moraine Gentian Föhn Cirque Arête Chamois Scree Firn"
)
MODELS = tuple(_MODELS.split())

SUPPLIERS = (
    ("Tiroler Loden GmbH", "Austria", 14, ("Clothing",)),
    ("Karwendel Ausrüstung AG", "Germany", 10, ("Equipment", "Camping")),
    ("Dolomiti Tessuti S.p.A.", "Italy", 21, ("Clothing",)),
    ("Helvetic Rope Works", "Switzerland", 12, ("Climbing",)),
    ("Mont-Blanc Équipement", "France", 9, ("Climbing", "Equipment")),
    ("Saigon Outerwear Co.", "Vietnam", 60, ("Clothing", "Footwear", "Equipment")),
    ("Porto Calçado Lda.", "Portugal", 18, ("Footwear",)),
    ("Nordlys Lighting A/S", "Denmark", 21, ("Equipment",)),
    ("Bavaria Zelte KG", "Germany", 10, ("Camping",)),
    ("Jiangsu Down & Feather", "China", 75, ("Camping", "Clothing")),
    ("Valtellina Scarponi S.r.l.", "Italy", 16, ("Footwear",)),
    ("Pine Ridge Outfitters", "United States", 45, ("Climbing", "Camping", "Equipment")),
    ("O'Brien Stoves Ltd.", "Ireland", 30, ("Camping",)),
    ("Graubünden Carbon AG", "Switzerland", 28, ()),
)
"""Name, country, lead time in days, departments that it can deliver to (the last: none yet)."""

OPENING = date(2023, 1, 1)
CLOSING = date(2025, 6, 30)


def categories() -> list[Category]:
    """Departments first, then their categories."""
    rows = [Category(i, name, None) for i, (name, _) in enumerate(DEPARTMENTS, 1)]
    for parent_id, (_, kinds) in enumerate(DEPARTMENTS, 1):
        rows += [Category(len(rows) + i, k.category, parent_id) for i, k in enumerate(kinds, 1)]
    return rows


def products(known: list[Category]) -> list[Product]:
    """The range of every category, in the order of the categories."""
    dice = Dice("products")
    id_of = {c.category_name: c.category_id for c in known}
    rows: list[Product] = []
    for kind in (kind for _, kinds in DEPARTMENTS for kind in kinds):
        models = dice.shuffled(MODELS)[: kind.products]
        for number, model in enumerate(models, 1):
            rows.append(_product(dice, kind, len(rows) + 1, number, model, id_of[kind.category]))
    return rows


def _product(
    dice: Dice, kind: Kind, product_id: int, number: int, model: str, category_id: int
) -> Product:
    is_new = dice.chance(0.05)
    launched = dice.day(date(2025, 6, 10), CLOSING) if is_new else _launch_day(dice)
    is_gone = not is_new and dice.chance(0.12)
    return Product(
        product_id=product_id,
        sku=f"{kind.sku_prefix}-{number:03}",
        product_name=f"{model} {dice.pick(kind.nouns)}",
        category_id=category_id,
        list_price=_tag(dice, *kind.price),
        weight_g=None if dice.chance(0.1) else dice.whole(*kind.weight_g),
        launched_on=launched.isoformat(),
        discontinued_on=dice.day(date(2024, 9, 1), CLOSING).isoformat() if is_gone else None,
    )


def _launch_day(dice: Dice) -> date:
    return OPENING if dice.chance(0.5) else dice.day(OPENING, date(2024, 8, 31))


def _tag(dice: Dice, low: int, high: int) -> float:
    # Shops end prices on a few favourite amounts, so several products cost the same.
    step = 10 if high > 120 else 5
    return round(
        dice.whole(low // step + 1, high // step) * step - dice.pick((0.05, 0.05, 1, 0)), 2
    )


def suppliers() -> list[Supplier]:
    """All suppliers; the last one offers nothing yet."""
    dice = Dice("suppliers")
    rows = []
    for number, (name, country, lead_time, _) in enumerate(SUPPLIERS, 1):
        email = None if dice.chance(0.2) else f"sales@{_domain(name)}"
        rows.append(Supplier(number, name, country, lead_time, email))
    return rows


def _domain(company: str) -> str:
    return ascii_name(company.split()[0]) + ".example"


def offers(sold: list[Product], known: list[Category]) -> list[ProductSupplier]:
    """One to three suppliers for each product, one of them preferred (not always the cheapest)."""
    dice = Dice("offers")
    name_of = {c.category_id: c.category_name for c in known}
    department_of = {c.category_id: name_of.get(c.parent_id or 0, "") for c in known}
    rows = []
    for product in sold:
        able = _suppliers_for(department_of[product.category_id])
        chosen = dice.shuffled(able)[: dice.pick((1, 1, 2, 2, 3))]
        for rank, supplier_id in enumerate(chosen):
            price = round(product.list_price * dice.between(0.42, 0.66), 2)
            rows.append(ProductSupplier(product.product_id, supplier_id, price, int(rank == 0)))
    return rows


def _suppliers_for(department: str) -> list[int]:
    return [i for i, (*_, delivers_to) in enumerate(SUPPLIERS, 1) if department in delivers_to]
