-- Clinics and their patients: about 300 MB. visit has an index on its patient and none on its
-- doctor; prescription has one on its visit; lab_result has none.
CREATE TABLE clinic (
    clinic_id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, beds INTEGER);
INSERT INTO clinic SELECT n, PICK(cn, Saint Mary|Lakeside|Hillview|Central|Children|Northern) || ' ' || n,
    PICK(cc, Vienna|Graz|Linz|Salzburg|Innsbruck|Klagenfurt|Bregenz|Villach), 20 + R(cb, 400)
    FROM ROWS(60);

CREATE TABLE doctor (
    doctor_id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, specialty TEXT NOT NULL,
    clinic_id INTEGER NOT NULL REFERENCES clinic(clinic_id), hired_on DATE);
INSERT INTO doctor SELECT n,
    'Dr ' || PICK(dn, Adler|Bauer|Cerny|Duarte|Egger|Fuchs|Gruber|Huber|Ito|Jonas|Kaya|Lang) || ' ' || n,
    PICK(ds, cardiology|dermatology|surgery|neurology|paediatrics|radiology|oncology|general practice),
    1 + R(dc, 60), date('2000-01-01', '+' || R(dh, 8000) || ' days') FROM ROWS(1500);

CREATE TABLE patient (
    patient_id INTEGER PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL, sex TEXT,
    born_on DATE, city TEXT, blood_type TEXT, insurer TEXT, phone TEXT);
INSERT INTO patient SELECT n,
    PICK(pf, Anna|Ben|Clara|David|Eva|Felix|Greta|Hugo|Ida|Jakob|Klara|Leo|Marie|Noah),
    PICK(pl, Auer|Binder|Czerny|Dorner|Eder|Frank|Gasser|Hofer|Illes|Jung|Koch|Lehner),
    CASE R(ps, 40) WHEN 0 THEN NULL ELSE PICK(pg, F|M) END,
    date('1930-01-01', '+' || R(pd, 33000) || ' days'),
    PICK(pc, Vienna|Vienna|Graz|Linz|Salzburg|Innsbruck|Klagenfurt|Bregenz),
    PICK(pb, A+|A-|B+|B-|AB+|AB-|0+|0-), PICK(pi, Alpina|Donau|Union|Merkur|private),
    '+43 ' || (100000000 + R(pp, 899999999)) FROM ROWS(220000);

CREATE TABLE visit (
    visit_id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES patient(patient_id),
    doctor_id INTEGER NOT NULL REFERENCES doctor(doctor_id),
    visited_on DATE NOT NULL, reason TEXT, minutes INTEGER, fee_cents INTEGER, urgent INTEGER,
    notes TEXT);
INSERT INTO visit SELECT n, 1 + R(vp, 220000), 1 + R(vd, 1500) * (R(vq, 200) + 1) / 201,
    date('2018-01-01', '+' || (n / 600) || ' days'),
    PICK(vr, check-up|fever|injury|vaccination|follow-up|pain|referral|allergy),
    5 + R(vm, 55), 2000 + 100 * R(vf, 180), R(vu, 12) = 0,
    PICK(vn, no findings, come back in a year|prescribed rest and fluids|sent to the laboratory|wound cleaned and dressed|blood pressure above normal)
    FROM ROWS(1500000);
CREATE INDEX visit_patient ON visit(patient_id);

CREATE TABLE prescription (
    prescription_id INTEGER PRIMARY KEY, visit_id INTEGER NOT NULL REFERENCES visit(visit_id),
    drug TEXT NOT NULL, dose_mg INTEGER, days INTEGER, repeats INTEGER);
INSERT INTO prescription SELECT n, 1 + R(rv, 1500000),
    PICK(rd, amoxicillin|ibuprofen|metformin|lisinopril|atorvastatin|omeprazole|salbutamol|sertraline|insulin),
    50 * (1 + R(rm, 20)), 3 + R(ry, 28), R(rr, 4) FROM ROWS(1300000);
CREATE INDEX prescription_visit ON prescription(visit_id);

CREATE TABLE lab_result (
    lab_result_id INTEGER PRIMARY KEY, visit_id INTEGER NOT NULL REFERENCES visit(visit_id),
    test TEXT NOT NULL, value INTEGER, unit TEXT, taken_at DATETIME, abnormal INTEGER NOT NULL);
INSERT INTO lab_result SELECT n, 1 + R(lv, 1500000),
    PICK(lt, glucose|haemoglobin|cholesterol|creatinine|sodium|potassium|crp), 10 + R(lw, 400),
    PICK(lu, mg/dl|g/l|mmol/l), datetime('2018-01-01', '+' || (n * 105) || ' seconds'),
    R(la, 9) = 0 FROM ROWS(2200000);
