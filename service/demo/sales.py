"""What happened: orders, their lines, returns and reviews from 2023 to mid 2025."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, timedelta
from operator import attrgetter

from service.demo.dice import Dice
from service.demo.rows import (
    Customer,
    Employee,
    OrderLine,
    Product,
    ProductReturn,
    ProductReview,
    SalesOrder,
    Store,
)

FIRST_DAY = date(2023, 1, 2)
LAST_DAY = date(2025, 6, 30)
FIRST_ORDER_ID = 10001
YEAR_ENDS = (date(2023, 12, 31), date(2024, 1, 1), date(2024, 12, 31), date(2025, 1, 1))
"""Days that are sure to have orders, so that a query with `<` for `<=` gets another answer."""
REASONS = ("Wrong size", "Wrong size", "Changed mind", "Defective", "Damaged in transit", None)
TITLES = (
    ("Sent it back", "Leaks in heavy rain"),
    ("Zip broke on the second tour", "Heavier than advertised"),
    ("Does the job", "Nothing special"),
    ("Good, runs a bit small", "Solid value", "Very light"),
    ("Exactly what I hoped for", "Perfect on the glacier", "Would buy again"),
)
"""Of reviews with one star, two stars and so on."""


STORE_STATUSES = ("completed",) * 28 + ("returned", "cancelled")
"""Cancelled in a shop: put aside and never fetched."""


class Market:
    """Who and what is there on a given day."""

    def __init__(
        self,
        dice: Dice,
        stores: list[Store],
        staff: list[Employee],
        customers: list[Customer],
        products: list[Product],
    ) -> None:
        self.dice = dice
        self.stores = stores
        self.sellers = [e for e in staff if e.job_title in ("Sales Associate", "Store Manager")]
        self.buyers = [c for c in customers if not dice.chance(0.14)]
        # In a shuffled range some products in every category sell better than others.
        self.range = dice.shuffled(products)

    def store_open(self, day: str) -> Store:
        """A shop that is open on that day; the older ones sell more."""
        is_open = [
            s
            for s in self.stores
            if s.opened_on <= day and (s.closed_on is None or day <= s.closed_on)
        ]
        return self.dice.early(is_open, self.dice.whole(1, 2))

    def seller(self, store: Store, day: str) -> Employee:
        """Somebody who works there on that day."""
        team = [
            e
            for e in self.sellers
            if e.store_id == store.store_id
            and e.hired_on <= day
            and (e.left_on is None or day <= e.left_on)
        ]
        return self.dice.pick(team)

    def customer(self, day: str) -> Customer:
        """Somebody with an account on that day; old customers buy more often."""
        known = bisect_right(self.buyers, day, key=attrgetter("joined_on"))
        return self.dice.early(self.buyers[:known], self.dice.whole(1, 2))

    def product(self, day: str) -> Product:
        """Something on sale on that day."""
        while True:
            product = self.dice.early(self.range, 2)
            end = product.discontinued_on
            if product.launched_on <= day and (end is None or day <= end):
                return product


def orders(market: Market, count: int) -> list[SalesOrder]:
    """That many orders by date and a few more; busiest in June and before Christmas."""
    days = sorted([*YEAR_ENDS * 3, *(_order_day(market.dice) for _ in range(count))])
    return [_order(market, FIRST_ORDER_ID + i, day) for i, day in enumerate(days)]


def _order_day(dice: Dice) -> date:
    day = dice.day(FIRST_DAY, LAST_DAY)
    if dice.chance(0.3):
        day = max(day, dice.day(FIRST_DAY, LAST_DAY))
    return day if day.month in (6, 11, 12) or dice.chance(0.75) else _order_day(dice)


def _order(market: Market, order_id: int, day: date) -> SalesOrder:
    if market.dice.chance(0.45):
        return _online_order(market, order_id, day)
    dice, iso = market.dice, day.isoformat()
    store = market.store_open(iso)
    return SalesOrder(
        order_id=order_id,
        customer_id=None if dice.chance(0.15) else market.customer(iso).customer_id,
        channel="store",
        store_id=store.store_id,
        sold_by=market.seller(store, iso).employee_id,
        order_date=iso,
        status=dice.pick(STORE_STATUSES),
        shipped_on=None,
        shipping_fee=0.0,
    )


def _online_order(market: Market, order_id: int, day: date) -> SalesOrder:
    dice = market.dice
    shipped = day + timedelta(days=dice.whole(0, 6))
    status = _online_status(dice, shipped)
    is_sent = status not in ("processing", "cancelled")
    return SalesOrder(
        order_id=order_id,
        customer_id=market.customer(day.isoformat()).customer_id,
        channel="online",
        store_id=None,
        sold_by=None,
        order_date=day.isoformat(),
        status=status,
        shipped_on=shipped.isoformat() if is_sent else None,
        shipping_fee=dice.pick((0.0, 4.9, 4.9, 6.5, 9.9)),
    )


def _online_status(dice: Dice, shipped: date) -> str:
    if dice.chance(0.1):
        return "cancelled"
    if shipped > LAST_DAY:
        return "processing"
    if shipped > LAST_DAY - timedelta(days=7):
        return "shipped"
    return "returned" if dice.chance(0.06) else "completed"


def lines(market: Market, placed: list[SalesOrder]) -> list[OrderLine]:
    """One to five different products for each order."""
    rows = []
    for order in placed:
        wanted = market.dice.pick((1, 1, 1, 2, 2, 2, 3, 3, 4, 5))
        basket = {p.product_id: p for p in (_products(market, order, wanted))}
        for line_no, product in enumerate(basket.values(), 1):
            rows.append(_line(market.dice, order, line_no, product))
    return rows


def _products(market: Market, order: SalesOrder, wanted: int) -> Iterable[Product]:
    return (market.product(order.order_date) for _ in range(wanted))


def _line(dice: Dice, order: SalesOrder, line_no: int, product: Product) -> OrderLine:
    # Prices went up by 4 % at the start of 2024.
    factor = 0.96 if order.order_date < "2024-01-01" else 1.0
    return OrderLine(
        order_id=order.order_id,
        line_no=line_no,
        product_id=product.product_id,
        quantity=dice.pick((1, 1, 1, 1, 1, 2, 2, 3)),
        unit_price=round(product.list_price * factor, 2),
        discount=dice.pick((0.0, 0.0, 0.0, 0.0, 0.05, 0.1, 0.1, 0.2, 0.3)),
    )


def returns(placed: list[SalesOrder], sold: list[OrderLine]) -> list[ProductReturn]:
    """Every line of a returned order, and now and then a line of a completed one."""
    dice = Dice("returns")
    order_of = {o.order_id: o for o in placed}
    rows: list[ProductReturn] = []
    for line in sold:
        order = order_of[line.order_id]
        if order.status == "returned":
            rows.append(_return(dice, len(rows) + 1, order, line, line.quantity))
        elif order.status == "completed" and dice.chance(0.04):
            rows.append(_return(dice, len(rows) + 1, order, line, dice.whole(1, line.quantity)))
    return rows


def _return(
    dice: Dice, return_id: int, order: SalesOrder, line: OrderLine, quantity: int
) -> ProductReturn:
    received = date.fromisoformat(order.shipped_on or order.order_date)
    returned = min(received + timedelta(days=dice.whole(1, 30)), LAST_DAY)
    refund = round(quantity * line.unit_price * (1 - line.discount), 2)
    is_pending = returned > LAST_DAY - timedelta(days=30) or dice.chance(0.03)
    return ProductReturn(
        return_id=return_id,
        order_id=line.order_id,
        line_no=line.line_no,
        returned_on=returned.isoformat(),
        quantity=quantity,
        reason=dice.pick(REASONS),
        refund_amount=None if is_pending else refund,
    )


def reviews(placed: list[SalesOrder], sold: list[OrderLine]) -> list[ProductReview]:
    """About one review in six lines that a known customer bought, the first for each product."""
    dice = Dice("reviews")
    order_of = {o.order_id: o for o in placed}
    written: dict[tuple[int, int], ProductReview] = {}
    for line in sold:
        order = order_of[line.order_id]
        if order.customer_id is None or order.status == "cancelled" or not dice.chance(0.17):
            continue
        key = (line.product_id, order.customer_id)
        written.setdefault(key, _review(dice, len(written) + 1, *key, order.order_date))
    return list(written.values())


def _review(
    dice: Dice, review_id: int, product_id: int, customer_id: int, bought_on: str
) -> ProductReview:
    rating = dice.pick((1, 2, 3, 3, 4, 4, 4, 5, 5, 5))
    written = date.fromisoformat(bought_on) + timedelta(days=dice.whole(2, 60))
    return ProductReview(
        review_id=review_id,
        product_id=product_id,
        customer_id=customer_id,
        rating=rating,
        title=None if dice.chance(0.3) else dice.pick(TITLES[rating - 1]),
        reviewed_on=min(written, LAST_DAY).isoformat(),
    )
