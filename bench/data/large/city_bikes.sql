-- A bike-sharing system: about 100 MB. trip has an index on its rider and none on bike or stations.
CREATE TABLE station (
    station_id INTEGER PRIMARY KEY, name TEXT NOT NULL, district TEXT NOT NULL,
    capacity INTEGER, opened_on DATE);
INSERT INTO station SELECT n,
    PICK(st, Linden|Harbour|Museum|Market|Castle|Garden|Bridge|Tower) || ' ' || n,
    PICK(sd, North|South|East|West|Centre|Old Town|Riverside|University),
    10 + R(sc, 40), date('2015-01-01', '+' || R(so, 2500) || ' days') FROM ROWS(600);

CREATE TABLE rider (
    rider_id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, email TEXT, birth_year INTEGER,
    plan TEXT, joined_on DATE);
INSERT INTO rider SELECT n,
    PICK(rf, Ada|Bruno|Chen|Dora|Emil|Fatima|Goran|Hana|Ivan|Julia|Karl|Lena|Mona|Nils|Olga|Petra)
    || ' ' || PICK(rl, Weber|Novak|Rossi|Smith|Silva|Kim|Haas|Berg|Costa|Lang|Moser|Nagy),
    CASE WHEN R(re, 20) THEN 'rider' || n || '@example.org' END, 1945 + R(rb, 62),
    PICK(rp, monthly|monthly|yearly|day pass|student), date('2016-01-01', '+' || R(rj, 3000) || ' days')
    FROM ROWS(60000);

CREATE TABLE bike (
    bike_id INTEGER PRIMARY KEY, model TEXT NOT NULL, electric INTEGER NOT NULL, bought_on DATE);
INSERT INTO bike SELECT n, PICK(bm, Urban 1|Urban 2|Cargo|Volt|Volt Plus|Classic),
    R(be, 3) = 0, date('2016-01-01', '+' || R(bb, 2600) || ' days') FROM ROWS(4000);

CREATE TABLE trip (
    trip_id INTEGER PRIMARY KEY,
    bike_id INTEGER NOT NULL REFERENCES bike(bike_id),
    rider_id INTEGER NOT NULL REFERENCES rider(rider_id),
    start_station_id INTEGER NOT NULL REFERENCES station(station_id),
    end_station_id INTEGER REFERENCES station(station_id),
    started_at DATETIME NOT NULL, minutes INTEGER, distance_m INTEGER, price_cents INTEGER,
    app_version TEXT);
INSERT INTO trip SELECT n, 1 + R(tb, 4000), 1 + R(tr, 60000) * (R(tq, 1000) + 1) / 1001,
    1 + R(ts, 600) * (R(tx, 100) + 1) / 101, CASE WHEN R(tn, 50) THEN 1 + R(te, 600) END,
    datetime('2021-01-01', '+' || (n * 90 + R(tt, 3600)) || ' seconds'),
    2 + R(tm, 90) * R(tw, 90) / 90, 200 + R(td, 9000), 50 + 5 * R(tp, 120),
    PICK(ta, ios-4.2|ios-4.3|android-4.1|android-4.3|web) FROM ROWS(1300000);
CREATE INDEX trip_rider ON trip(rider_id);

CREATE TABLE repair (
    repair_id INTEGER PRIMARY KEY, bike_id INTEGER NOT NULL REFERENCES bike(bike_id),
    reported_on DATE NOT NULL, kind TEXT NOT NULL, cost_cents INTEGER, remark TEXT);
INSERT INTO repair SELECT n, 1 + R(pb, 4000), date('2021-01-01', '+' || R(pd, 1300) || ' days'),
    PICK(pk, brake|tyre|battery|lock|chain|light|frame), 500 + 10 * R(pc, 2000),
    CASE WHEN R(pr, 4) THEN PICK(pt, reported by a rider at the station|found during inspection|second time this month)
    END FROM ROWS(45000);
