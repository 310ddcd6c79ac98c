-- Whole queries over the flights table, one a line; test_bind.py binds each.
select * from flights
select * from flights f where f.distance > 5
from flights
from flights select dest limit 2
select flights.* from flights
select f.* from flights as f
select *, dest from flights
select * exclude (dest, RAW) from flights
select * replace (distance * 2 as distance) from flights
select f.* exclude (dest) replace (upper(carrier) as carrier) from flights f
select distinct * from flights
select carrier, count(*), count(distinct dest), avg(dep_delay) from flights where distance > 500 group by carrier having count(*) > 100 order by 2 desc limit 10
select carrier c, count(*) n from flights group by c order by n desc, c
select carrier, origin, sum(distance) from flights group by all
select carrier, origin, sum(distance) s from flights group by all order by all
select carrier, origin, sum(distance) s from flights group by all order by all desc nulls last
select 'x' as x, carrier, count(*) from flights group by all
select upper(carrier) as carrier, count(*) from flights group by upper(carrier)
select upper(carrier) as carrier, count(*) from flights group by 1 order by 1
select date_trunc('month', day) as month, count(*) from flights group by month order by month
select distance // 100 as bucket, count(*) from flights group by bucket having bucket > 3 order by bucket
select sum(distance) as distance from flights group by carrier having distance > 1
select carrier, sum(distance) as carrier_sum from flights group by carrier having carrier_sum > 1 and carrier > 'A'
select carrier, sum(distance) as flight from flights group by carrier, flight having flight > 1
select -distance as distance from flights order by distance
select -distance as distance from flights order by distance + 0
select -distance as distance from flights where distance > 1
select distance + 1 as x, x * 2 as y from flights where y > 3 order by y
select -distance as distance, distance + 1 as x from flights
select distinct carrier, dest from flights order by 1, 2 desc nulls first
select distinct upper(carrier) as c from flights order by c
select distinct carrier from flights order by carrier limit 5 offset 2
select count(*) from flights
select count(*) as n from flights having n > 1
select sum(distance) from flights having count(*) > 1
select dest from flights where carrier is not null and tail is null
select dest from flights where carrier in ('UA', 'AA') or not cancelled
select dest from flights where day between date '2020-01-01' and '2020-12-31'
select dest from flights where ts >= timestamp '2020-01-01' - interval 3 day
select dest from flights where _key like 'flight:1%'
select count(distinct _key) from flights
select count(distinct (carrier, dest)), count(distinct origin), count(*) from flights
select carrier, count(distinct dest) filter (where distance > 500), count(distinct origin) from flights group by carrier
select carrier, sum(distinct distance), avg(distinct distance) from flights group by carrier
select carrier, stddev(distance), var_pop(distance), median(distance), quantile_cont(distance, [0.25, 0.75]) from flights group by carrier
select carrier, string_agg(dest, ',' order by dest desc), list(dest order by day, dest) from flights group by carrier
select carrier, arg_min(dest, distance), arg_max(dest, distance), min_by(dest, day) from flights group by carrier
select carrier, bool_and(cancelled), bool_or(distance > 5), approx_count_distinct(tail) from flights group by carrier
select case when distance > 500 then 'far' else 'near' end as how, count(*) from flights group by how order by count(*) desc
select carrier, round(avg(dep_delay), 2) as late from flights where not cancelled group by carrier having avg(dep_delay) > 0 order by late desc, carrier limit 3
select carrier, sum(case when dep_delay > 15 then 1 else 0 end) * 100.0 / count(*) as late from flights group by carrier
select carrier, count(*) from flights group by carrier order by count(*) desc, carrier asc nulls first
select carrier, dest, count(*) from flights group by carrier, dest order by 3 desc, 1, 2
select year(day) as y, month(day) as m, count(*) from flights group by y, m order by y, m
select carrier || '-' || dest as route, max(distance) from flights group by route order by max(distance) desc limit 5
select coalesce(tail, 'none') as tail, count(*) from flights group by tail
select coalesce(tail, 'none') as t, count(*) from flights group by t
select dest from flights order by distance desc, dest limit 3
select dest from flights order by lower(dest) collate nocase, -distance
select dest from flights limit 0
select dest from flights limit all
select dest from flights offset 3
select DEST, "Dest", Flights.dEST from Flights
select flights.dest as "group", count(*) as "order" from flights group by "group" order by "order"
select max(price) - min(price) as spread, sum(price) / count(*) from flights
select first(dest order by ts), last(dest order by ts), any_value(carrier) from flights
select count(*) filter (where cancelled), count(*) filter (where not cancelled) from flights
select distinct count(*) from flights group by carrier
select x: dest, n: count(*) from flights group by all
select count(), count(1), count(tail), count(distinct 1) from flights
select (((distance))) from flights where ((cancelled))
select min(day), max(ts), min(id), max(raw) from flights
