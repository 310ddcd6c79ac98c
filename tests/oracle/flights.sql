-- Queries over all 336,776 flights out of New York in 2013.

SELECT count(*) FROM flights

SELECT count(*), count(dep_time), count(tailnum), count(DISTINCT carrier), count(DISTINCT tailnum) FROM flights

SELECT carrier, count(*), count(DISTINCT dest), avg(dep_delay) FROM flights WHERE distance > 500 GROUP BY carrier HAVING count(*) > 100 ORDER BY 2 DESC LIMIT 10

SELECT origin, median(dep_delay), quantile_cont(dep_delay, 0.99) AS worst_percent FROM flights GROUP BY origin ORDER BY origin

SELECT month, count(*) FILTER (WHERE dep_delay > 60) AS late, sum(distance * 1.609)::BIGINT AS km FROM flights GROUP BY month ORDER BY month

SELECT count(DISTINCT tailnum) AS planes, count(DISTINCT (origin, dest)) AS routes, min(time_hour), max(time_hour) FROM flights WHERE carrier <> 'UA'

SELECT carrier, flight, origin, dest, dep_delay, _key FROM flights WHERE dep_delay IS NOT NULL ORDER BY dep_delay DESC, _key LIMIT 5

SELECT origin, dest, count(*), min(air_time), max(air_time), avg(air_time) FROM flights GROUP BY origin, dest

SELECT origin || '-' || dest AS route, count(*) AS n FROM flights GROUP BY route ORDER BY n DESC, route LIMIT 20

SELECT upper(origin) AS o, lower(dest) AS d, count(*) FROM flights GROUP BY ALL ORDER BY ALL

SELECT year, month, day, count(*) FROM flights GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

SELECT make_date(year, month, day) AS date, sum(distance), avg(arr_delay) FROM flights GROUP BY date ORDER BY date

SELECT date_trunc('week', make_date(year, month, day)) AS week, count(*) FROM flights GROUP BY week ORDER BY week DESC

SELECT replace(time_hour, 'Z', '')::TIMESTAMP AS t, count(*) FROM flights GROUP BY t ORDER BY count(*) DESC, t LIMIT 10

SELECT hour, count(*) FROM flights GROUP BY hour HAVING count(*) > 10000 ORDER BY hour

SELECT distance // 250 AS bucket, count(*), avg(air_time / distance) FROM flights GROUP BY bucket ORDER BY bucket

SELECT dep_delay > 15 AS late, count(*), avg(arr_delay) FROM flights GROUP BY late ORDER BY late NULLS FIRST

SELECT CASE WHEN dep_delay > 60 THEN 'very' WHEN dep_delay > 15 THEN 'late' WHEN dep_delay IS NULL THEN 'gone' ELSE 'good' END AS how, count(*), min(distance) FROM flights GROUP BY how

SELECT carrier, sum(CASE WHEN arr_delay > 15 THEN 1 ELSE 0 END) * 100.0 / count(*) AS percent FROM flights GROUP BY carrier ORDER BY percent DESC

SELECT carrier, round(avg(dep_delay), 2) AS late FROM flights WHERE dep_delay IS NOT NULL GROUP BY carrier HAVING avg(dep_delay) > 10 ORDER BY late DESC, carrier

SELECT DISTINCT carrier FROM flights

SELECT DISTINCT origin, carrier FROM flights ORDER BY origin, carrier DESC

SELECT DISTINCT tailnum FROM flights ORDER BY tailnum NULLS FIRST LIMIT 10

SELECT DISTINCT dest FROM flights ORDER BY dest DESC NULLS LAST LIMIT 10 OFFSET 50

SELECT DISTINCT dep_time IS NULL AS gone, arr_time IS NULL AS lost FROM flights

SELECT count(DISTINCT carrier), count(DISTINCT dest), count(DISTINCT tailnum), count(DISTINCT flight) FROM flights

SELECT month, count(DISTINCT tailnum), count(DISTINCT dest), count(DISTINCT (carrier, flight)) FROM flights GROUP BY month

SELECT origin, count(DISTINCT carrier) AS c, sum(DISTINCT distance), avg(DISTINCT distance) FROM flights GROUP BY origin

SELECT carrier, count(DISTINCT dest) FILTER (WHERE distance > 1000), count(*) FILTER (WHERE origin = 'JFK') FROM flights GROUP BY carrier

SELECT dest FROM flights GROUP BY dest HAVING count(DISTINCT carrier) > 5 ORDER BY count(DISTINCT carrier) DESC, dest

SELECT tailnum, count(*) AS n FROM flights GROUP BY tailnum ORDER BY n DESC, tailnum LIMIT 25

SELECT tailnum, flight, count(*), sum(distance) AS d FROM flights GROUP BY tailnum, flight HAVING d % 20 = 3

SELECT sum(distance), sum(dep_delay), sum(arr_delay), sum(air_time), sum(flight) FROM flights

SELECT avg(distance), avg(dep_delay), avg(arr_delay), avg(air_time), avg(hour) FROM flights

SELECT min(distance), max(distance), min(carrier), max(dest), min(dep_time), max(tailnum) FROM flights

SELECT stddev(dep_delay), variance(arr_delay), stddev_pop(distance), var_pop(air_time), sem(dep_delay) FROM flights

SELECT carrier, stddev(dep_delay), variance(arr_delay), count(dep_delay) FROM flights GROUP BY carrier

SELECT median(dep_delay), median(distance), quantile_disc(arr_delay, 0.25), quantile_cont(air_time, [0.1, 0.5, 0.9]) FROM flights

SELECT carrier, median(arr_delay), quantile_cont(dep_delay, 0.95), quantile_disc(tailnum, 0.5) FROM flights GROUP BY carrier

SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY distance), percentile_disc(0.75) WITHIN GROUP (ORDER BY dest) FROM flights

SELECT approx_count_distinct(tailnum), approx_count_distinct(flight), approx_count_distinct(_key) FROM flights

SELECT origin, approx_count_distinct(tailnum) FROM flights GROUP BY origin

-- within: 0.02
SELECT approx_quantile(distance, 0.5)::DOUBLE AS d, approx_quantile(air_time, 0.9)::DOUBLE AS a FROM flights

SELECT carrier, bool_and(dep_delay IS NOT NULL), bool_or(distance > 4000), count_if(arr_delay < 0) FROM flights GROUP BY carrier

SELECT carrier, string_agg(DISTINCT origin, ',' ORDER BY origin), list(DISTINCT month ORDER BY month) FROM flights GROUP BY carrier

SELECT string_agg(flight, ' ' ORDER BY flight, _key) FROM flights WHERE dest = 'LGA' OR carrier = 'OO'

SELECT origin, list(distance ORDER BY distance, _key) FROM flights WHERE month = 1 AND day = 1 AND hour = 5 GROUP BY origin

SELECT carrier, arg_max(_key, distance * 1000000 + flight * 100 + day), arg_min(dest, distance * 10000000 + flight * 1000 + hour) FROM flights WHERE month = 7 AND day = 4 GROUP BY carrier

SELECT arg_max(_key, dep_delay), arg_min(_key, _key), max(dep_delay) FROM flights

SELECT first(dest ORDER BY _key), last(carrier ORDER BY _key) FROM flights

SELECT corr(dep_delay, arr_delay), covar_samp(air_time, distance), regr_slope(air_time, distance), regr_r2(air_time, distance) FROM flights

SELECT skewness(dep_delay), kurtosis(dep_delay), mad(dep_delay), entropy(carrier), mode(carrier) FROM flights

SELECT histogram(month), max(distance, 3), min(dep_delay, 2) FROM flights

SELECT count(*) FROM flights WHERE dest IN ('IAH', 'HOU') AND carrier NOT IN ('UA', 'AA', 'DL')

SELECT count(*), sum(distance) FROM flights WHERE (month BETWEEN 7 AND 9 OR day = 1) AND NOT origin = 'JFK'

SELECT count(*) FROM flights WHERE tailnum LIKE 'N%AA' AND dep_delay IS DISTINCT FROM arr_delay

SELECT count(*) FROM flights WHERE _key LIKE 'flight:12%' AND regexp_matches(tailnum, '^N[0-9]+$')

SELECT carrier, flight, tailnum, dep_delay FROM flights WHERE dep_delay > 600 ORDER BY dep_delay DESC, carrier, flight

SELECT carrier, dest, dep_delay - arr_delay AS gain, distance * 60.0 / air_time AS mph FROM flights WHERE month = 12 AND day = 25 ORDER BY gain DESC NULLS LAST, mph NULLS FIRST, carrier, dest, _key LIMIT 100 OFFSET 10

SELECT _key, air_time FROM flights ORDER BY air_time DESC NULLS LAST, _key LIMIT 20

SELECT _key, arr_delay FROM flights ORDER BY arr_delay NULLS FIRST, _key LIMIT 30 OFFSET 9420

-- among: SELECT carrier, flight FROM flights WHERE origin = 'EWR'
SELECT carrier, flight FROM flights WHERE origin = 'EWR' LIMIT 1000

-- native: SELECT * EXCLUDE (_key) FROM flights WHERE month = 2 AND dest = 'SFO'
SELECT * FROM flights WHERE month = 2 AND dest = 'SFO'

SELECT count(*) FROM flights WHERE dest = 'nowhere'

SELECT carrier, sum(distance) FROM flights WHERE distance < 0 GROUP BY carrier

SELECT sum(distance), avg(distance), min(dest), count(*), count(DISTINCT dest), list(dest) FROM flights WHERE distance < 0

-- with: [1000, "UA"]
SELECT dest, count(*) FROM flights WHERE distance > ? AND carrier = ? GROUP BY dest ORDER BY 2 DESC, 1

-- with: {"from": "JFK", "late": 30}
SELECT carrier, count(*) FILTER (WHERE dep_delay > $late) AS late, $from AS origin FROM flights WHERE origin = $from GROUP BY carrier

-- with: [7]
SELECT day % ? AS d, count(*), avg(arr_delay) FROM flights GROUP BY 1 ORDER BY 1
