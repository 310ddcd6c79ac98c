-- Queries over the small odd tables. Without ORDER BY the rows are compared as multisets.

-- native: SELECT * EXCLUDE (_key) FROM zoo
SELECT * FROM zoo

-- native: SELECT * EXCLUDE (_key) FROM zoo
FROM zoo

-- native: SELECT * EXCLUDE (_key) FROM zoo ORDER BY n LIMIT 7
TABLE zoo ORDER BY n LIMIT 7

-- native: SELECT count(*), max(n) AS "table" FROM (SELECT * EXCLUDE (_key) FROM zoo UNION SELECT * EXCLUDE (_key) FROM zoo)
SELECT count(*), max(n) AS table FROM (TABLE zoo UNION TABLE zoo)

SELECT n, _key, id FROM zoo

SELECT id, length(id), length(_key) FROM zoo WHERE id NOT SIMILAR TO '[0-9]+'

SELECT n FROM zoo WHERE _key = 'zoo:é' OR _key LIKE 'tag:%1' OR id = chr(0)

SELECT "n", N AS "N", zoo.n AS "Größe" FROM zoo ORDER BY zoo.n LIMIT 3

SELECT n + 1, -n, n * 2 AS twice, n // 7, n % 7, n / 7, n ** 2, ~n, n & 6, n << 2 FROM zoo

SELECT ti, si, h, b, hu FROM zoo WHERE hu IS NOT NULL ORDER BY n

SELECT uti, usi, ui, ub FROM zoo

SELECT x, d, r FROM zoo ORDER BY n

SELECT c, e, c + 1, e * 2, c * c FROM zoo WHERE c > 0

SELECT c::DOUBLE AS cd, x::INTEGER AS xi, n::VARCHAR AS t, day::TIMESTAMP AS dt, ts::DATE AS td FROM zoo

SELECT TRY_CAST(s AS INTEGER) AS i, TRY_CAST(s AS DOUBLE) AS d, TRY_CAST(s AS BOOLEAN) AS b FROM zoo

SELECT s, length(s), upper(s), s || '!', s = '', s = '0', s < '1', s IS NULL FROM zoo

SELECT n, s FROM zoo WHERE s = '007' OR s = '7 ' OR s = '-0'

SELECT n FROM zoo WHERE s = chr(0)

SELECT n FROM zoo WHERE s LIKE '%O''Brien%' OR s ILIKE 'NAN' OR s GLOB '[n]*'

SELECT regexp_replace(s, '[0-9]', '#', 'g') AS r, regexp_matches(s, '^[0-9]+$') AS m FROM zoo

SELECT substr(s, 1, 2), s[1], left(s, 1), reverse(s), strpos(s, '7'), replace(s, '7', 'sieben') FROM zoo

SELECT z, octet_length(z), z = '\x00\xFF\xFE'::BLOB, hex(z), md5(s) FROM zoo

SELECT n, length(big), md5(big), big = '' FROM zoo WHERE big IS NOT NULL

SELECT big FROM zoo WHERE n < 301 AND length(big) > 100000

SELECT max(big) = min(big), max(length(big)), count(big), count(DISTINCT big) FROM zoo

SELECT day, year(day), month(day), dayofweek(day), day + 1, date_trunc('month', day) FROM zoo WHERE year(day) = 2024

SELECT day, tod, ts FROM zoo ORDER BY n DESC

SELECT ts + INTERVAL 1 MONTH AS later, extract(epoch FROM ts) AS e, strftime(ts, '%d.%m.%Y %H:%M') AS s FROM zoo

SELECT date_diff('day', DATE '2024-01-01', day) AS days, hour(tod), ts::TIME FROM zoo

SELECT n FROM zoo WHERE day BETWEEN DATE '2024-03-01' AND DATE '2024-03-31' AND ts > TIMESTAMP '2025-01-01'

SELECT f, NOT f, f AND h > 0, f OR h > 0, f IS TRUE, f IS NOT FALSE, f IS NULL FROM zoo

SELECT u, u::VARCHAR AS t FROM zoo WHERE u = 'c4ca4238-a0b9-2382-0dcc-509a6f75849b' OR u IS NULL

SELECT CASE WHEN h > 0 THEN 'plus' WHEN h < 0 THEN 'minus' WHEN h IS NULL THEN 'none' ELSE 'zero' END AS sign, n FROM zoo

SELECT CASE h WHEN 1 THEN x WHEN 2 THEN n END AS v FROM zoo

SELECT coalesce(g, s, 'neither') AS v, nullif(g, '') AS e, ifnull(h, -99) AS i, greatest(h, 0, ti), least(n, 5) FROM zoo

SELECT {'a': h, 'b': s} AS st, [h, 1] AS li, (h, g) AS tu FROM zoo WHERE n < 50

SELECT list_transform([h, 1, 2], lambda v: v + 1) AS l, len([h]) FROM zoo WHERE n < 50

SELECT n FROM zoo WHERE h IN (1, 2) AND g NOT IN ('', '0') OR x BETWEEN 1 AND 2

SELECT n FROM zoo WHERE g IS DISTINCT FROM 'Zoë' AND h IS NOT DISTINCT FROM NULL

SELECT n FROM zoo WHERE g = 'zoë' COLLATE NOCASE

SELECT n FROM zoo WHERE isnan(d) OR isinf(d)

SELECT n, d FROM zoo WHERE d > 1e300

SELECT n FROM zoo WHERE d = 0

SELECT n FROM zoo WHERE NULL

SELECT n FROM zoo WHERE false

SELECT 1 AS one, 'x' AS x, NULL AS nothing, 1.50 AS dec FROM zoo WHERE n < 3

SELECT n FROM zoo WHERE h > 0 AND NOT f AND (g = '' OR g IS NULL)

SELECT round(x, 2), floor(x), ceil(x), abs(x), sqrt(abs(x)), sign(x), trunc(x), x::DECIMAL(12, 3) FROM zoo

SELECT n, x FROM zoo ORDER BY x NULLS FIRST, n

SELECT n, x FROM zoo ORDER BY x DESC NULLS LAST, n DESC

SELECT n, d FROM zoo ORDER BY d, n

SELECT n, d FROM zoo ORDER BY d DESC, n LIMIT 50

SELECT g, n FROM zoo ORDER BY g NULLS FIRST, n LIMIT 400

SELECT g, n FROM zoo ORDER BY g DESC NULLS LAST, n LIMIT 20 OFFSET 290

SELECT n, s FROM zoo ORDER BY length(s) DESC, s, n LIMIT 100

SELECT n, -n AS m FROM zoo ORDER BY m LIMIT 10

SELECT n, s FROM zoo ORDER BY 2, 1 DESC LIMIT 100

SELECT n FROM zoo ORDER BY n LIMIT 5 OFFSET 2995

SELECT n FROM zoo ORDER BY n OFFSET 490

SELECT n FROM zoo ORDER BY n LIMIT 0

SELECT n FROM zoo ORDER BY f, h DESC, hash(n), n LIMIT 77

SELECT z, n FROM zoo ORDER BY z, n LIMIT 700

SELECT u, day, n FROM zoo ORDER BY u NULLS FIRST, day DESC, n LIMIT 600

SELECT hu, e, n FROM zoo ORDER BY hu DESC, e, n

-- among: SELECT n, g FROM zoo
SELECT n, g FROM zoo LIMIT 17

-- among: SELECT n FROM zoo WHERE h = 1
SELECT n FROM zoo WHERE h = 1 LIMIT 5 OFFSET 3

SELECT DISTINCT g FROM zoo

SELECT DISTINCT g, h FROM zoo ORDER BY g NULLS FIRST, h NULLS LAST

SELECT DISTINCT lower(g) AS l FROM zoo ORDER BY l DESC LIMIT 3

SELECT DISTINCT s, z FROM zoo

SELECT DISTINCT h > 0 AS plus, f FROM zoo

SELECT DISTINCT d FROM zoo WHERE d <> 0

SELECT count(*) FROM zoo

SELECT count(*), count(h), count(g), count(x), count(NULL), count(1) FROM zoo

SELECT count(*) AS n, sum(h) AS s FROM zoo WHERE n < 0

SELECT sum(n), sum(h), sum(ti), sum(si), sum(b), sum(uti), sum(usi), sum(ui), sum(ub) FROM zoo

SELECT sum(c), sum(e), sum(x), sum(r), sum(f) FROM zoo

SELECT sum(d), avg(d), min(d), max(d), count(d) FROM zoo

SELECT sum(hu) FROM zoo WHERE n % 50 > 2

SELECT avg(n), avg(h), avg(c), avg(e), avg(x), avg(b), avg(ts) FROM zoo

SELECT min(n), max(n), min(b), max(b), min(hu), max(hu), min(ub), max(ub) FROM zoo

SELECT min(s), max(s), min(g), max(g), min(z), max(z), min(_key), max(_key) FROM zoo

SELECT min(day), max(day), min(tod), max(tod), min(ts), max(ts), min(u), max(u), min(f), max(f) FROM zoo

SELECT min(x), max(x), min(r), max(r), min(c), max(c), min(e), max(e) FROM zoo

SELECT g, count(*), sum(n) FROM zoo GROUP BY g

SELECT g, h, count(*), min(n), max(n) FROM zoo GROUP BY g, h ORDER BY g NULLS FIRST, h NULLS FIRST

SELECT g AS key, count(*) AS rows FROM zoo GROUP BY key ORDER BY rows DESC, key

SELECT n % 10 AS bucket, sum(x) FROM zoo GROUP BY 1 ORDER BY 1

SELECT upper(g), h * 2, count(*) FROM zoo GROUP BY 1, 2

SELECT lower(g) AS l, count(*) FROM zoo GROUP BY ALL ORDER BY ALL

SELECT date_trunc('month', day) AS m, count(*), min(day) FROM zoo GROUP BY m ORDER BY m

SELECT h IS NULL AS none, f, count(*) FROM zoo GROUP BY h IS NULL, f

SELECT count(*) FROM zoo GROUP BY g

SELECT sum(n) FROM zoo GROUP BY n // 100 ORDER BY n // 100

SELECT z, count(*), min(n) FROM zoo GROUP BY z

SELECT u, count(*), max(ts) FROM zoo GROUP BY u

SELECT day, count(*) FROM zoo GROUP BY day HAVING count(*) > 1 ORDER BY day

SELECT ts, tod, c, e, count(*) FROM zoo GROUP BY ALL

SELECT hu, uti, count(*) FROM zoo GROUP BY hu, uti

SELECT d, count(*) FROM zoo WHERE d <> 0 GROUP BY d

SELECT s, count(*) AS c FROM zoo GROUP BY s ORDER BY c DESC, s

SELECT n, count(*) FROM zoo GROUP BY n ORDER BY n DESC LIMIT 30

SELECT g, count(*) FROM zoo GROUP BY g HAVING count(*) > 40 AND g > '0' ORDER BY 2 DESC, 1 LIMIT 4

SELECT g, sum(h) AS total FROM zoo GROUP BY g HAVING total > 0

SELECT g FROM zoo GROUP BY g HAVING max(n) - min(n) > 100 AND count(DISTINCT h) > 2

SELECT sum(n) FROM zoo HAVING count(*) > 100000

SELECT 'all' AS what, count(*) FROM zoo GROUP BY what

SELECT h, count(*) + 1 AS c, sum(n) * 1.0 / count(*) AS mean, max(n) - min(n) FROM zoo GROUP BY h

SELECT h, h + 1 AS next, count(*) FROM zoo GROUP BY h, next

SELECT CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END AS parity, avg(x) FROM zoo GROUP BY parity ORDER BY avg(x)

SELECT g, count(*) FILTER (WHERE h > 0) AS plus, sum(n) FILTER (WHERE f) AS fs, count(*) FROM zoo GROUP BY g

SELECT count(*) FILTER (WHERE x > 0), avg(x) FILTER (WHERE f IS NULL), max(s) FILTER (WHERE n < 0) FROM zoo

SELECT h, count(DISTINCT g) FILTER (WHERE f), list(n ORDER BY n) FILTER (WHERE n < 40) FROM zoo GROUP BY h

SELECT count(DISTINCT g), count(DISTINCT h), count(DISTINCT s), count(DISTINCT x) FROM zoo

SELECT count(DISTINCT z), count(DISTINCT u), count(DISTINCT day), count(DISTINCT f), count(DISTINCT _key) FROM zoo

SELECT count(DISTINCT d), count(DISTINCT r), count(DISTINCT hu), count(DISTINCT e) FROM zoo

SELECT g, count(DISTINCT h), count(DISTINCT s), sum(DISTINCT ti), count(*) FROM zoo GROUP BY g

SELECT count(DISTINCT (g, h)), count(DISTINCT (s, z)), count(DISTINCT (h, f, ti)) FROM zoo

SELECT h, count(DISTINCT (g, f)) AS pairs FROM zoo GROUP BY h ORDER BY h NULLS FIRST

SELECT f, count(DISTINCT lower(g)), avg(DISTINCT h), sum(DISTINCT c), max(DISTINCT n) FROM zoo GROUP BY f

SELECT g, count(DISTINCT h) AS c FROM zoo GROUP BY g HAVING count(DISTINCT h) > 1 ORDER BY count(DISTINCT s) DESC, g

SELECT stddev(n), stddev_pop(n), stddev_samp(x), variance(h), var_pop(x), var_samp(c), sem(x) FROM zoo

SELECT g, stddev(x), variance(n), count(*) FROM zoo GROUP BY g

SELECT h, stddev_pop(x), var_pop(x), avg(x), count(x) FROM zoo GROUP BY h HAVING count(x) > 5

SELECT median(n), median(h), median(x), median(c), median(day), median(ts) FROM zoo

SELECT g, median(x), quantile_cont(x, 0.9), quantile_disc(n, 0.25), quantile_cont(n, [0.1, 0.5]) FROM zoo GROUP BY g

SELECT quantile_disc(s, 0.5), quantile_disc(day, 0.1), percentile_cont(0.3) WITHIN GROUP (ORDER BY x) FROM zoo

SELECT mode(h), mad(x), kurtosis(x), skewness(n) FROM zoo WHERE h = 1

SELECT approx_count_distinct(n), approx_count_distinct(s), approx_count_distinct(u) FROM zoo

SELECT g, approx_count_distinct(n) FROM zoo GROUP BY g

-- within: 0.05
SELECT approx_quantile(n + 1000, 0.5)::DOUBLE AS q FROM zoo

SELECT bool_and(f), bool_or(f), bool_and(n >= 0), bool_or(h > 2), count_if(f) FROM zoo

SELECT g, bool_and(f), bool_or(h > 1), bit_and(usi), bit_or(ti), bit_xor(b) FROM zoo GROUP BY g

SELECT string_agg(s, ',' ORDER BY n) FROM zoo WHERE n < 300

SELECT g, string_agg(h, '|' ORDER BY n DESC), group_concat(s ORDER BY n) FROM zoo GROUP BY g

SELECT h, string_agg(DISTINCT g, '/' ORDER BY g) FROM zoo GROUP BY h

SELECT list(n ORDER BY n), array_agg(s ORDER BY n DESC) FROM zoo WHERE n % 7 = 0

SELECT g, list(h ORDER BY n), list(DISTINCT ti ORDER BY ti), len(list(x)) FROM zoo GROUP BY g

SELECT h, list_sort(list(s)), list(z ORDER BY n), list(day ORDER BY n) FROM zoo GROUP BY h

SELECT list({'n': n, 's': s} ORDER BY n) FROM zoo WHERE n < 100

SELECT arg_min(s, n), arg_max(s, n), arg_max(n, x + n), min_by(g, n), max_by(day, n), arg_max(n, n, 3) FROM zoo

SELECT g, arg_min(u, n), arg_max(z, n), arg_max(h, ts + INTERVAL (n) SECOND) FROM zoo GROUP BY g

SELECT first(n ORDER BY n), last(s ORDER BY n), any_value(g ORDER BY n) FROM zoo

SELECT corr(x, n), covar_pop(x, h), covar_samp(n, x), regr_slope(x, n), regr_count(x, h) FROM zoo

SELECT product(1.0 + h / 1000.0), fsum(x), favg(x), entropy(h), histogram(h) FROM zoo

SELECT max(n, 3), min(n, 2), max(s, 2) FROM zoo

SELECT g, max(n, 2), arg_min(s, n, 2) FROM zoo GROUP BY g

SELECT sum(CASE WHEN f THEN n ELSE -n END), avg(length(s)), max(lower(g)), sum(n * h) FROM zoo

SELECT coalesce(sum(h), 0) + coalesce(max(ti), 0) AS v, count(*) > 5 AS many FROM zoo

SELECT round(avg(x), 3), sum(n)::DOUBLE / count(*), stddev(x) / nullif(avg(n), 0) FROM zoo

SELECT DISTINCT count(*) > 10 AS many FROM zoo GROUP BY g

SELECT DISTINCT h, sum(ti) FROM zoo GROUP BY h, f ORDER BY ALL

SELECT min(n) AS low, max(n) AS high FROM zoo GROUP BY f ORDER BY high DESC OFFSET 1

SELECT geomean(n + 1), count(DISTINCT n % 10), sum(n) // 3 FROM zoo

-- with: [5, "Zoë"]
SELECT n, g FROM zoo WHERE n > ? AND g = ?

-- with: [10, 2]
SELECT n % ? AS b, count(*) FROM zoo GROUP BY 1 HAVING count(*) > ? ORDER BY 1

-- with: {"low": 3, "name": "zoë"}
SELECT count(*), $name AS name FROM zoo WHERE h <> $low AND (g = $name OR n > $low)

-- with: [null, true, 1.5, "O'Brien; DROP TABLE zoo"]
SELECT coalesce(h, ?) AS a, ? AS b, ? AS c FROM zoo WHERE s = ?

-- with: {"k": 3}
SELECT n + $k AS a, n * $k AS b FROM zoo ORDER BY n LIMIT 20

-- JSON columns: kept as they are written, of DuckDB's type JSON

SELECT n, j, typeof(j), j IS NULL, j::VARCHAR FROM zoo ORDER BY n LIMIT 30

SELECT n, j->'a', j->>'c', j->'$.a.b[0]', j.c, json_type(j), json_extract(j, ['a', '$[2]']) FROM zoo

SELECT j, count(*), min(n) FROM zoo GROUP BY j HAVING count(*) > 1 ORDER BY j

SELECT DISTINCT j FROM zoo ORDER BY 1 DESC NULLS FIRST LIMIT 5

SELECT min(j), max(j), count(j), count(DISTINCT j), max(j->>'c') FROM zoo

SELECT j->>'c' AS k, sum((j->>'$.a.b[0]')::INTEGER) AS total, list(j ORDER BY n)[1] FROM zoo WHERE json_type(j) = 'OBJECT' GROUP BY k ORDER BY k

SELECT n, (j::STRUCT(a STRUCT(b INTEGER[]), c VARCHAR)).a.b FROM zoo WHERE j->>'c' IS NOT NULL

SELECT a.n, b.n FROM zoo a JOIN zoo b ON a.j = b.j WHERE a.n < 20 AND b.n BETWEEN 20 AND 100

SELECT {'j': j, 'l': [j, NULL]} AS s FROM zoo WHERE n < 10

SELECT uhu, tz, iv FROM zoo

SELECT uhu::VARCHAR, tz::VARCHAR, iv::VARCHAR, n FROM zoo ORDER BY n

SELECT n, tz, uhu FROM zoo ORDER BY tz DESC NULLS FIRST, uhu, n LIMIT 50

SELECT n FROM zoo ORDER BY iv, n LIMIT 900

SELECT tz, count(*) FROM zoo GROUP BY tz

SELECT iv, count(*), max(n) FROM zoo GROUP BY iv

SELECT DISTINCT uhu, iv FROM zoo

SELECT g, count(DISTINCT tz), count(DISTINCT iv), count(DISTINCT uhu) FROM zoo GROUP BY g

SELECT min(tz), max(tz), min(iv), max(iv), min(uhu), max(uhu), any_value(uhu ORDER BY n) FROM zoo

SELECT g, first(tz ORDER BY n), last(iv ORDER BY n), arg_max(uhu, n), arg_min(iv, n), arg_max(tz, n), list(iv ORDER BY n) FROM zoo GROUP BY g

SELECT sum(uhu), avg(uhu), median(tz), approx_count_distinct(iv) > 10, mode(h ORDER BY n) FROM zoo WHERE n % 50 <> 1

SELECT count(*), count(tz), count(iv), count(uhu) FROM zoo WHERE tz >= TIMESTAMPTZ '2024-12-31 01:00:00+01:00' AND iv < INTERVAL '10 days' OR uhu = 340282366920938463463374607431768211455

-- with: ["2024-12-30 23:59:58.5+02"]
SELECT n, tz - TIMESTAMPTZ '2024-12-30 00:00:00Z', ts + iv FROM zoo WHERE tz > CAST(? AS TIMESTAMPTZ) AND n % 16 <> 2 ORDER BY n

SELECT extract(year FROM tz), date_trunc('hour', tz), iv * 2, count(*) FROM zoo WHERE n % 15 > 2 AND n % 16 > 5 GROUP BY ALL

SELECT count(*), count(b.n) FROM zoo a LEFT JOIN zoo b ON a.tz = b.tz AND a.iv = b.iv AND a.uhu < b.uhu

SELECT n, lag(tz) OVER (ORDER BY n), row_number() OVER (PARTITION BY iv ORDER BY n) FROM zoo

SELECT en, n FROM zoo ORDER BY en, n LIMIT 1200

SELECT en, count(*), min(n), avg(x), count(DISTINCT s) FROM zoo GROUP BY en ORDER BY en DESC

SELECT min(en), max(en), count(DISTINCT en), any_value(en) IS NULL FROM zoo

SELECT g, min(en), max(en), count(DISTINCT en), first(en ORDER BY n), arg_max(en, n), mode(en ORDER BY n) FROM zoo GROUP BY g

SELECT DISTINCT en FROM zoo ORDER BY en NULLS FIRST

SELECT n, en::VARCHAR || '!', enum_code(en), [en], {'e': en} FROM zoo WHERE en > 'z' AND en <> 'ß' OR en = '' ORDER BY n

SELECT g, list(n ORDER BY en DESC, n)[1:3], string_agg(en, ',' ORDER BY n) FROM zoo GROUP BY g

SELECT en, max(n) FROM zoo WHERE en IN ('a', 'it''s') GROUP BY en HAVING max(en) > 'a'

SELECT a.en, count(*), max(b.en) FROM zoo a JOIN (SELECT en, max(h) AS h FROM zoo GROUP BY en) b ON a.en = b.en GROUP BY a.en ORDER BY a.en

SELECT [en] AS l, count(*) FROM zoo GROUP BY l ORDER BY l

SELECT n, max(en) OVER (ORDER BY n ROWS 2 PRECEDING) FROM zoo

SELECT en FROM zoo UNION SELECT max(en) FROM zoo ORDER BY en

-- Lists, structs and maps, read from JSON

SELECT n, li, st, ma, ne FROM zoo

SELECT n, li, st FROM zoo WHERE li IS NOT NULL AND st.a > 2 ORDER BY n LIMIT 20

SELECT n, li[1], len(li), list_sum(li), list_sort(li), list_contains(li, 7), list_transform(li, lambda y: y + 1) AS t FROM zoo

SELECT st.a, st.b, st.c[1].e, len(st.c), struct_keys(st) AS k FROM zoo

SELECT ma['k'], map_keys(ma), cardinality(ma), map_entries(ma) FROM zoo WHERE ma IS NOT NULL

SELECT ne[1]['p'].j->>'q' AS nq, ne[1]['p'].u[1] AS nu, count(*) FROM zoo GROUP BY nq, nu ORDER BY nq, nu

SELECT n, unnest(li) AS y FROM zoo ORDER BY n, y LIMIT 50

SELECT y, count(*), sum(n) FROM zoo, unnest(li) t(y) GROUP BY y ORDER BY y

SELECT n, unnest(st) FROM zoo WHERE n < 40

SELECT c.d, sum(c.e) FROM (SELECT unnest(st.c) AS c FROM zoo) GROUP BY c.d ORDER BY c.d

SELECT li, count(*), min(n) FROM zoo GROUP BY li ORDER BY li

SELECT st.c AS parts, count(*) FROM zoo GROUP BY parts ORDER BY parts

SELECT DISTINCT st FROM zoo ORDER BY st DESC LIMIT 9

SELECT DISTINCT ma FROM zoo

SELECT min(li), max(li), min(st), max(st), min(ma), max(ma), count(st), count(DISTINCT li), count(DISTINCT st) FROM zoo

SELECT h, min(li), max(st), any_value(ma) IS NULL AS a, sum(st.a), avg(len(li)), list(li ORDER BY n)[:2] FROM zoo GROUP BY h ORDER BY h

SELECT h, first(st ORDER BY n), arg_max(li, n), count(DISTINCT ma) FROM zoo GROUP BY h ORDER BY h

SELECT a.n, b.n FROM zoo a JOIN zoo b ON a.li = b.li AND a.st.a = b.st.a WHERE a.n < 60 AND b.n < 60

SELECT n FROM zoo WHERE st = (SELECT max(st) FROM zoo)

SELECT n, row_number() OVER (PARTITION BY li ORDER BY n) AS r FROM zoo WHERE n < 200

SELECT to_json(st) AS js, st::VARCHAR AS text, li::VARCHAR, ma::JSON AS jm FROM zoo WHERE ma['e'] IS NULL

SELECT h, json_group_object(n, s), json_group_structure(st) FROM (SELECT * FROM zoo ORDER BY n LIMIT 9) GROUP BY h ORDER BY h

SELECT json_group_object('k', 1) IS NULL AS none, json_group_structure(n) FROM zoo WHERE n < 0
