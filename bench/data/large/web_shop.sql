-- A web shop: about 1 GB. orders, order_line and review have an index on what they mostly are
-- joined by; order_line has none on its product, page_view has none at all.
CREATE TABLE category (category_id INTEGER PRIMARY KEY, name TEXT NOT NULL, department TEXT NOT NULL);
INSERT INTO category SELECT n,
    PICK(cn, Shoes|Jackets|Tents|Lamps|Knives|Books|Toys|Cables|Chairs|Pans) || ' ' || n,
    PICK(cd, Outdoor|Home|Electronics|Children|Office) FROM ROWS(40);

CREATE TABLE product (
    product_id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES category(category_id),
    name TEXT NOT NULL, brand TEXT, price_cents INTEGER NOT NULL, weight_g INTEGER,
    released_on DATE, discontinued INTEGER NOT NULL);
INSERT INTO product SELECT n, 1 + R(pc, 40),
    PICK(pa, Light|Strong|Quiet|Warm|Fast|Small|Grand|Blue|Red|Green) || ' '
    || PICK(pn, Falcon|Otter|Lynx|Heron|Badger|Marmot|Ibex|Wolf) || ' ' || n,
    PICK(pb, Norda|Kestrel|Umbra|Lumo|Tessel|Arvo|Brix|Calla), 300 + 10 * R(pp, 4000),
    20 + R(pw, 5000), date('2012-01-01', '+' || R(pr, 4300) || ' days'), R(pd, 15) = 0
    FROM ROWS(30000);

CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, email TEXT NOT NULL, country TEXT,
    city TEXT, street TEXT, signed_up_on DATE, newsletter INTEGER NOT NULL, segment TEXT);
INSERT INTO customer SELECT n,
    PICK(kf, Alma|Boris|Carla|Denis|Elsa|Fritz|Gina|Hannes|Irma|Jonas|Kira|Lukas) || ' '
    || PICK(kl, Adam|Braun|Conti|Dubois|Evans|Ferrari|Garcia|Horvat|Ivanov|Jansen),
    'customer' || n || '@example.com',
    PICK(kc, Germany|Germany|Austria|Switzerland|France|Italy|Spain|Poland|Sweden|Portugal),
    PICK(ki, Berlin|Vienna|Zurich|Paris|Rome|Madrid|Warsaw|Malmo|Lisbon|Hamburg|Munich|Lyon),
    PICK(ks, Station Road|Church Street|Mill Lane|Park Avenue|High Street) || ' ' || (1 + R(kn, 200)),
    date('2014-01-01', '+' || R(ku, 3900) || ' days'), R(kw, 3) = 0,
    PICK(kg, consumer|consumer|consumer|business|reseller) FROM ROWS(400000);

CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer(customer_id),
    ordered_at DATETIME NOT NULL, status TEXT NOT NULL, payment TEXT, shipping_cents INTEGER,
    coupon TEXT, shipped_on DATE, comment TEXT);
INSERT INTO orders SELECT n, 1 + R(oc, 400000) * (R(oq, 300) + 1) / 301,
    datetime('2019-01-01', '+' || (n * 105 + R(ot, 5000)) || ' seconds'),
    PICK(os, delivered|delivered|delivered|delivered|returned|cancelled|open),
    PICK(op, card|card|paypal|invoice|transfer), 100 * R(oh, 12),
    CASE R(ok, 9) WHEN 0 THEN PICK(ov, SPRING10|SUMMER5|WELCOME|VIP20) END,
    CASE WHEN R(ox, 8) THEN date('2019-01-01', '+' || (n * 105 / 86400 + 1 + R(oy, 6)) || ' days') END,
    CASE R(om, 6) WHEN 0 THEN 'please leave the parcel with the neighbour at number ' || R(on, 99) END
    FROM ROWS(1500000);
CREATE INDEX orders_customer ON orders(customer_id);

CREATE TABLE order_line (
    order_id INTEGER NOT NULL REFERENCES orders(order_id), line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES product(product_id), quantity INTEGER NOT NULL,
    unit_price_cents INTEGER NOT NULL, gift_wrapped INTEGER NOT NULL,
    PRIMARY KEY (order_id, line));
INSERT INTO order_line SELECT 1 + (n - 1) / 3, 1 + (n - 1) % 3,
    1 + R(lp, 30000) * (R(lq, 500) + 1) / 501, 1 + R(ln, 5), 300 + 10 * R(lu, 4000), R(lg, 20) = 0
    FROM ROWS(4500000);

CREATE TABLE review (
    review_id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product(product_id),
    customer_id INTEGER NOT NULL REFERENCES customer(customer_id), stars INTEGER NOT NULL,
    written_on DATE NOT NULL, title TEXT, body TEXT, helpful_votes INTEGER NOT NULL);
INSERT INTO review SELECT n, 1 + R(vp, 30000), 1 + R(vc, 400000), 1 + max(R(vs, 5), R(vt, 5)),
    date('2019-01-01', '+' || R(vd, 1800) || ' days'),
    PICK(vi, Very happy|Would buy again|Not what I expected|Broke after a week|Good value),
    PICK(vb, It arrived on time and the packing was sound, but the colour is not the one in the picture.|The size is right and the material feels good; I have used it every day since it came.|I sent it back because a part was missing, and the shop was quick to send another one.)
    || ' ' || PICK(ve, Delivery took three days and the driver called before he came to the door.|My neighbour has the older model and says that this one is better in every way.|For the price there is nothing better, and I have looked around for quite a while.),
    R(vh, 60) * R(vk, 60) / 60 FROM ROWS(850000);
CREATE INDEX review_product ON review(product_id);

CREATE TABLE page_view (
    page_view_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer(customer_id),
    product_id INTEGER REFERENCES product(product_id), viewed_at DATETIME NOT NULL,
    seconds INTEGER, device TEXT, referrer TEXT, user_agent TEXT);
INSERT INTO page_view SELECT n, CASE WHEN R(gc, 3) THEN 1 + R(gd, 400000) END,
    CASE WHEN R(gp, 10) THEN 1 + R(gq, 30000) END,
    datetime('2023-01-01', '+' || (n * 12) || ' seconds'), 1 + R(gs, 300),
    PICK(gv, phone|phone|tablet|desktop),
    'https://' || PICK(gr, search.example|news.example|social.example|mail.example) || '/?ref=' || R(gx, 100000),
    'Mozilla/5.0 (' || PICK(ga, X11; Linux x86_64|Windows NT 10.0; Win64; x64|Macintosh; Intel Mac OS X 10_15|Linux; Android 13; Pixel 7)
    || ') AppleWebKit/537.36 Chrome/' || (90 + R(gy, 35)) || '.0.0.0 Safari/537.36' FROM ROWS(3000000);
