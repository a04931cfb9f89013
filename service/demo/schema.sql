-- Alpine Retail: a chain of outdoor-gear shops in the Alps with a web shop.
-- Money is in euros, dates are ISO text (YYYY-MM-DD), flags are 0 or 1.
-- The data runs from January 2023 to the end of June 2025.

CREATE TABLE store (
    store_id     INTEGER PRIMARY KEY,
    store_name   TEXT NOT NULL UNIQUE,
    city         TEXT NOT NULL,
    country      TEXT NOT NULL,
    floor_area   REAL NOT NULL,             -- square metres
    opened_on    TEXT NOT NULL,
    closed_on    TEXT                       -- NULL: still open
);

CREATE TABLE employee (
    employee_id  INTEGER PRIMARY KEY,
    first_name   TEXT NOT NULL,
    last_name    TEXT NOT NULL,
    job_title    TEXT NOT NULL,
    store_id     INTEGER REFERENCES store (store_id),        -- NULL: head office
    manager_id   INTEGER REFERENCES employee (employee_id),  -- NULL: the managing director
    hired_on     TEXT NOT NULL,
    left_on      TEXT,                      -- NULL: still employed
    salary       REAL NOT NULL              -- gross, a year
);

CREATE TABLE customer (
    customer_id  INTEGER PRIMARY KEY,
    first_name   TEXT NOT NULL,
    last_name    TEXT NOT NULL,
    email        TEXT UNIQUE,
    city         TEXT NOT NULL,
    country      TEXT NOT NULL,
    birth_date   TEXT,
    joined_on    TEXT NOT NULL,
    loyalty_tier TEXT CHECK (loyalty_tier IN ('Bronze', 'Silver', 'Gold')),  -- NULL: no member
    newsletter   INTEGER NOT NULL CHECK (newsletter IN (0, 1))
);

-- Two levels: departments have no parent; products belong to the categories below them.
CREATE TABLE category (
    category_id   INTEGER PRIMARY KEY,
    category_name TEXT NOT NULL UNIQUE,
    parent_id     INTEGER REFERENCES category (category_id)
);

CREATE TABLE product (
    product_id      INTEGER PRIMARY KEY,
    sku             TEXT NOT NULL UNIQUE,
    product_name    TEXT NOT NULL UNIQUE,
    category_id     INTEGER NOT NULL REFERENCES category (category_id),
    list_price      REAL NOT NULL,
    weight_g        INTEGER,
    launched_on     TEXT NOT NULL,
    discontinued_on TEXT                    -- NULL: still sold
);

CREATE TABLE supplier (
    supplier_id    INTEGER PRIMARY KEY,
    company_name   TEXT NOT NULL UNIQUE,
    country        TEXT NOT NULL,
    lead_time_days INTEGER NOT NULL,        -- from order to delivery
    contact_email  TEXT
);

-- Who can deliver what, and at what price we buy.
CREATE TABLE product_supplier (
    product_id     INTEGER NOT NULL REFERENCES product (product_id),
    supplier_id    INTEGER NOT NULL REFERENCES supplier (supplier_id),
    purchase_price REAL NOT NULL,
    is_preferred   INTEGER NOT NULL CHECK (is_preferred IN (0, 1)),  -- one for each product
    PRIMARY KEY (product_id, supplier_id)
);

CREATE TABLE sales_order (
    order_id     INTEGER PRIMARY KEY,
    customer_id  INTEGER REFERENCES customer (customer_id),  -- NULL: anonymous, in a shop
    channel      TEXT NOT NULL CHECK (channel IN ('store', 'online')),
    store_id     INTEGER REFERENCES store (store_id),        -- NULL: online
    sold_by      INTEGER REFERENCES employee (employee_id),  -- NULL: online
    order_date   TEXT NOT NULL,
    status       TEXT NOT NULL
        CHECK (status IN ('processing', 'shipped', 'completed', 'cancelled', 'returned')),
    shipped_on   TEXT,                      -- NULL: in a shop, or not sent (yet)
    shipping_fee REAL NOT NULL
);

CREATE TABLE order_line (
    order_id   INTEGER NOT NULL REFERENCES sales_order (order_id),
    line_no    INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES product (product_id),
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    unit_price REAL NOT NULL,
    discount   REAL NOT NULL CHECK (discount BETWEEN 0 AND 1),  -- 0.2 is 20 % off
    PRIMARY KEY (order_id, line_no)
);

CREATE TABLE product_return (
    return_id     INTEGER PRIMARY KEY,
    order_id      INTEGER NOT NULL,
    line_no       INTEGER NOT NULL,
    returned_on   TEXT NOT NULL,
    quantity      INTEGER NOT NULL CHECK (quantity > 0),
    reason        TEXT,                     -- NULL: not given
    refund_amount REAL,                     -- NULL: not refunded yet
    FOREIGN KEY (order_id, line_no) REFERENCES order_line (order_id, line_no)
);

CREATE TABLE product_review (
    review_id   INTEGER PRIMARY KEY,
    product_id  INTEGER NOT NULL REFERENCES product (product_id),
    customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
    rating      INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
    title       TEXT,
    reviewed_on TEXT NOT NULL,
    UNIQUE (product_id, customer_id)
);

CREATE INDEX product_by_category ON product (category_id);
CREATE INDEX order_by_customer ON sales_order (customer_id);
CREATE INDEX order_by_date ON sales_order (order_date);
CREATE INDEX order_line_by_product ON order_line (product_id);
