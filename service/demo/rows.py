"""One row type for each table of the demo database; fields in the order of schema.sql."""

from typing import NamedTuple


class Store(NamedTuple):
    """A shop."""

    store_id: int
    store_name: str
    city: str
    country: str
    floor_area: float
    opened_on: str
    closed_on: str | None


class Employee(NamedTuple):
    """A person on the payroll, now or before."""

    employee_id: int
    first_name: str
    last_name: str
    job_title: str
    store_id: int | None
    manager_id: int | None
    hired_on: str
    left_on: str | None
    salary: float


class Customer(NamedTuple):
    """A person with a customer account."""

    customer_id: int
    first_name: str
    last_name: str
    email: str | None
    city: str
    country: str
    birth_date: str | None
    joined_on: str
    loyalty_tier: str | None
    newsletter: int


class Category(NamedTuple):
    """A department (no parent) or a category in it."""

    category_id: int
    category_name: str
    parent_id: int | None


class Product(NamedTuple):
    """Something sold."""

    product_id: int
    sku: str
    product_name: str
    category_id: int
    list_price: float
    weight_g: int | None
    launched_on: str
    discontinued_on: str | None


class Supplier(NamedTuple):
    """A company that products are bought from."""

    supplier_id: int
    company_name: str
    country: str
    lead_time_days: int
    contact_email: str | None


class ProductSupplier(NamedTuple):
    """A supplier's offer of a product."""

    product_id: int
    supplier_id: int
    purchase_price: float
    is_preferred: int


class SalesOrder(NamedTuple):
    """An order's head."""

    order_id: int
    customer_id: int | None
    channel: str
    store_id: int | None
    sold_by: int | None
    order_date: str
    status: str
    shipped_on: str | None
    shipping_fee: float


class OrderLine(NamedTuple):
    """One product in an order."""

    order_id: int
    line_no: int
    product_id: int
    quantity: int
    unit_price: float
    discount: float


class ProductReturn(NamedTuple):
    """An order line, or a part of it, that came back."""

    return_id: int
    order_id: int
    line_no: int
    returned_on: str
    quantity: int
    reason: str | None
    refund_amount: float | None


class ProductReview(NamedTuple):
    """A customer's opinion of a product."""

    review_id: int
    product_id: int
    customer_id: int
    rating: int
    title: str | None
    reviewed_on: str


Row = (
    Store
    | Employee
    | Customer
    | Category
    | Product
    | Supplier
    | ProductSupplier
    | SalesOrder
    | OrderLine
    | ProductReturn
    | ProductReview
)
