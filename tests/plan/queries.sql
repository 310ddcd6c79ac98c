-- Queries over the table of conftest.py, one a line; the order of their rows is free.
SELECT * FROM t
SELECT _key, * FROM t
SELECT a, a, a + 1 AS a FROM t
SELECT count(*) FROM t
SELECT 'x' FROM t
SELECT NULL, 1, 'a' FROM t WHERE f
SELECT g, s0 FROM t WHERE s0 > 3
SELECT s0 AS g0, h AS s0 FROM t WHERE s0 BETWEEN 2 AND 4
SELECT upper(s), length(g), a % 7, x / 2, n * 2, -a FROM t WHERE a IS NOT NULL AND (f OR h > 0)
SELECT a FROM t WHERE s LIKE 's1%' OR g IN ('', 'Zoë') OR day = DATE '2024-02-29'
SELECT id FROM t WHERE d = 'nan'
SELECT id FROM t WHERE d > 1e300
SELECT a::VARCHAR, n::DOUBLE, day::TIMESTAMP, try_cast(s AS INTEGER), w::VARCHAR FROM t
SELECT CASE WHEN a > 0 THEN 'plus' WHEN a < 0 THEN 'minus' ELSE NULL END AS sign FROM t
SELECT coalesce(g, 'none'), nullif(b, 1), a IS DISTINCT FROM h FROM t
SELECT extract(year FROM ts), date_trunc('month', day), day + 1, ts - INTERVAL 1 DAY FROM t
SELECT [a, h], {'a': a, 's': s}, struct_pack(x := b) FROM t
SELECT list_transform([a, h], lambda v: v + 1) FROM t
SELECT w, u, z, tod, r, f FROM t
SELECT w * 2, w::DOUBLE FROM t
SELECT DISTINCT g FROM t
SELECT DISTINCT g, h FROM t
SELECT DISTINCT d FROM t
SELECT DISTINCT a + b FROM t WHERE f
SELECT DISTINCT u, z FROM t
SELECT DISTINCT 1 FROM t
SELECT DISTINCT h FROM t WHERE id < 0
SELECT g FROM t GROUP BY g
SELECT 1 FROM t GROUP BY g
SELECT g, h FROM t GROUP BY ALL
SELECT d, count(*) FROM t GROUP BY d
SELECT u, count(*) FROM t GROUP BY u
SELECT z, tod, count(*) FROM t GROUP BY 1, 2
SELECT w, count(*) FROM t GROUP BY w
SELECT lower(g), count(*) FROM t GROUP BY lower(g)
SELECT lower(g) AS k, count(*) FROM t GROUP BY k
SELECT upper(lower(g)) || '!', count(*) FROM t GROUP BY lower(g)
SELECT (a + b) * 2, (a + b), count(*) FROM t GROUP BY (a + b)
SELECT a + 1, a + 1 + 1, sum(b) FROM t GROUP BY a + 1
SELECT a, a + b, sum(b) FROM t GROUP BY a, b
SELECT a > 0, count(*) FROM t GROUP BY 1
SELECT CASE WHEN a > 0 THEN 1 ELSE 0 END AS k, sum(a) FROM t GROUP BY k
SELECT extract(month FROM day) AS m, count(*), min(day), max(day) FROM t GROUP BY m
SELECT count(*) FROM t GROUP BY 'constant'
SELECT 'constant', count(*) FROM t WHERE id < 0 GROUP BY 'constant'
SELECT 'constant', count(*) FROM t WHERE id < 0
SELECT g, count(*) + 1, 'lit', 5 FROM t GROUP BY g
SELECT s0, sum(s0), count(DISTINCT s0) FROM t GROUP BY s0
SELECT s0 AS g0, b AS x0, count(*) AS key_set FROM t GROUP BY s0, b
SELECT _key, count(*) FROM t GROUP BY _key
SELECT g, count(*) FROM t GROUP BY g, h
SELECT g, count(*) FROM t GROUP BY g HAVING count(*) > 56
SELECT g, count(*) FROM t GROUP BY g HAVING sum(a) > 0 AND max(h) = 2
SELECT g FROM t GROUP BY g HAVING g IS NOT NULL AND avg(x) > 1
SELECT g, avg(a) AS m FROM t GROUP BY g HAVING m > 0
SELECT count(*) FROM t HAVING count(*) > 1000
SELECT count(*) FROM t HAVING sum(a) IS NOT NULL
SELECT 1 FROM t HAVING count(*) > 10
SELECT DISTINCT count(*) FROM t GROUP BY g, h
SELECT DISTINCT h, count(*) > 5 FROM t GROUP BY g, h
SELECT count(*), count(a), sum(a), avg(a), min(a), max(a), stddev(a), median(a) FROM t WHERE id < 0
SELECT sum(a), sum(a), sum(a) + sum(a), SUM(a) FROM t
SELECT sum(a) FILTER (WHERE f), sum(a) FILTER (WHERE NOT f), sum(a) FROM t
SELECT count(DISTINCT g), count(DISTINCT h), count(DISTINCT a), count(*) FROM t
SELECT h, count(DISTINCT g), count(DISTINCT a), sum(DISTINCT b), avg(x), median(a), count(*) FROM t GROUP BY h
SELECT h, count(DISTINCT g), approx_count_distinct(a), string_agg(s, ',' ORDER BY id) FROM t GROUP BY h
SELECT count(DISTINCT g), approx_count_distinct(a), median(x) FROM t
SELECT count(DISTINCT g), approx_count_distinct(a), median(x), regr_count(x, a), count(*) FROM t WHERE id < 0
SELECT g, count(DISTINCT a), count(DISTINCT h) FROM t WHERE id < 0 GROUP BY g
SELECT g, count(DISTINCT g), count(*) FROM t GROUP BY g
SELECT g, count(DISTINCT g), count(DISTINCT h) FROM t GROUP BY g
SELECT h, count(DISTINCT (h, b)), count(DISTINCT h), count(DISTINCT b) FROM t GROUP BY h
SELECT h, count(DISTINCT (g, s)), count(DISTINCT (g, b)), min(x), max(x) FROM t GROUP BY h
SELECT g, count(DISTINCT h) FILTER (WHERE f), count(DISTINCT h) FILTER (WHERE NOT f), count(DISTINCT h) FROM t GROUP BY g
SELECT count(DISTINCT (g, h)) FILTER (WHERE f) FROM t
SELECT string_agg(DISTINCT s, ',' ORDER BY s) FILTER (WHERE b > 0), count(*) FROM t
SELECT g, list(DISTINCT h ORDER BY h) FILTER (WHERE f) FROM t GROUP BY g
SELECT count(DISTINCT 1), count(DISTINCT NULL) FROM t
SELECT list_sort(list(DISTINCT h)), max(DISTINCT h), count(DISTINCT h) FROM t
SELECT count(DISTINCT a + b), count(DISTINCT a) + count(DISTINCT b) FROM t
SELECT g, count(DISTINCT a) FROM t GROUP BY g HAVING count(DISTINCT a) > 20 AND count(DISTINCT h) > 2
SELECT count(DISTINCT w), count(DISTINCT r), count(DISTINCT tod), count(DISTINCT ts), count(DISTINCT n) FROM t
SELECT entropy(DISTINCT h), mode(DISTINCT b) IS NOT NULL, histogram(DISTINCT h) FROM t
SELECT covar_pop(DISTINCT a, b), count(*) FROM t
SELECT sum(DISTINCT a + 1), count(DISTINCT a + b) FILTER (WHERE f), list(DISTINCT a * 2 ORDER BY a * 2) FROM t
SELECT h + 1, sum(DISTINCT h + 1), count(DISTINCT -(h + 1)), mode(h + 1) FROM t GROUP BY h + 1
SELECT DISTINCT a + 1, f AND b > 1, (a + 1) * 2 FROM t
SELECT avg(a)::INTEGER, round(sum(n), 1), sum(a)::VARCHAR || '%' FROM t
SELECT sum(x) / nullif(count(x), 0), 100 * count(a) / count(*) FROM t
SELECT {'n': count(*), 's': sum(a)} FROM t
SELECT [min(a), max(a)] FROM t GROUP BY g
SELECT list_sum(list(a ORDER BY id)), len(string_agg(s, '')) FROM t
SELECT coalesce(sum(a) FILTER (WHERE h > 99), -1) FROM t
SELECT CASE WHEN count(*) > 100 THEN 'many' ELSE 'few' END FROM t GROUP BY h
SELECT g, min(s), max(s), min(u), max(z), min(f), max(tod), min(ts) FROM t GROUP BY g
SELECT min({'a': a, 's': s}), max([h, b]) FROM t
SELECT mode(h), count(*) FROM t WHERE h = 1
SELECT h, histogram(b), count(DISTINCT g) FROM t WHERE f GROUP BY h
SELECT geomean(b + 1), count(*) FROM t
SELECT first(g), last(g), any_value(g), count(*) FROM t GROUP BY g
SELECT h, first(h) FILTER (WHERE id > 390), any_value(h) FILTER (WHERE id > 390) FROM t GROUP BY h
SELECT arg_min(id, x + id), arg_max(s, id), arg_max(w, id), arg_min(u, id) FROM t GROUP BY g
SELECT arg_min(DISTINCT id, id), first(DISTINCT b) IS NULL FROM t
SELECT median(r), median(w), median(ts), quantile_disc(u, 0.5), mad(n) FROM t
SELECT quantile_cont(x, 0.5), quantile_cont(x, [0.1, 0.9]), quantile_disc(day, 0.5) FROM t GROUP BY h
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n DESC), percentile_disc(0.1) WITHIN GROUP (ORDER BY ts) FROM t
SELECT avg(r), avg(n), avg(w), avg(ts), avg(tod), var_pop(r), stddev(n) FROM t GROUP BY b
SELECT sum(r), sum(x), sum(d), avg(d) FROM t
SELECT list(w ORDER BY id), list(u ORDER BY id), list(f ORDER BY id), list(z ORDER BY id), list(n ORDER BY id) FROM t
SELECT list({'a': a, 's': s} ORDER BY id) FROM t
SELECT string_agg(a::VARCHAR, '-' ORDER BY w, id), string_agg(s ORDER BY u, id) FROM t
SELECT g COLLATE NOCASE, count(*) FROM t GROUP BY g COLLATE NOCASE HAVING count(*) < 0
SELECT count(*) FROM t WHERE g COLLATE NOCASE = 'ZOË'
SELECT max(g::ENUM('zoë', '', 'Zoë', 'g4', 'g5', 'g6'))::VARCHAR FROM t
SELECT count(DISTINCT g::ENUM('', 'Zoë', 'zoë', 'g4', 'g5', 'g6')) FROM t
SELECT h::BIT, bit_or(b::BIT) FROM t WHERE h > 0 GROUP BY 1
SELECT avg(ts - TIMESTAMP '2024-01-01'), max(INTERVAL 1 DAY * b) FROM t
SELECT count(*) FROM t GROUP BY (a, b)
SELECT sum(abs(a)), avg(length(s)), count(DISTINCT abs(a)), list(lower(s) ORDER BY id) FROM t
SELECT max(id, 3), min(id, 2), arg_max(s, id, 2) FROM t
SELECT bool_or(a > 49), bool_and(b >= 0), count_if(f), countif(h > 0) FROM t GROUP BY g
SELECT a FROM t LIMIT 0
SELECT count(*) FROM t LIMIT 0
SELECT count(*) FROM t OFFSET 1
SELECT count(DISTINCT _key) FROM t
SELECT g, count(DISTINCT (_key, a)), count(DISTINCT _key) FROM t WHERE h > 0 GROUP BY g
SELECT count(DISTINCT _key) FROM t WHERE id < 0
SELECT g, list(DISTINCT _key ORDER BY _key) FROM t GROUP BY g HAVING count(DISTINCT _key) > 50
SELECT _key, count(DISTINCT a) FROM t GROUP BY _key
