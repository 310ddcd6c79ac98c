-- Expressions over the flights table, one a line; test_bind.py binds each.
date_trunc('month', day)
sum(price) filter (where not cancelled)
stddev(distance)
variance(dep_delay)
stddev_pop(distance)
stddev_samp(distance)
var_pop(distance)
var_samp(distance)
median(distance)
quantile(distance, 0.5)
quantile_cont(distance, 0.5)
quantile_disc(distance,[0.1,0.9])
quantile_disc(carrier,0.5)
approx_count_distinct(tail)
approx_quantile(distance,0.5)
approx_quantile(distance,[0.5])
bool_and(cancelled)
bool_or(cancelled)
string_agg(carrier, ',' order by day)
string_agg(carrier)
string_agg(distinct carrier, ',')
string_agg(distinct carrier, ',' order by carrier)
listagg(carrier, ',')
group_concat(carrier, ';')
list(dest order by dest)
array_agg(dest)
array_agg(distinct dest)
list(distinct dest order by dest desc nulls first)
arg_min(carrier, distance)
arg_max(carrier, distance)
min_by(carrier,distance)
max_by(carrier,distance)
first(carrier)
first(carrier order by day)
last(carrier)
any_value(carrier)
arbitrary(carrier)
mode(carrier)
product(distance)
corr(distance,dep_delay)
covar_pop(distance,dep_delay)
covar_samp(distance,dep_delay)
regr_slope(distance,dep_delay)
regr_count(distance,dep_delay)
regr_r2(distance,dep_delay)
skewness(distance)
kurtosis(distance)
kurtosis_pop(distance)
sem(distance)
mad(distance)
entropy(carrier)
histogram(carrier)
bit_and(flight)
bit_or(flight)
bit_xor(flight)
fsum(dep_delay)
favg(dep_delay)
kahan_sum(dep_delay)
sumkahan(dep_delay)
mean(distance)
count_if(cancelled)
countif(cancelled)
count(distinct distance)
count(distinct carrier) filter (where distance > 5)
count(tail)
count(1)
count()
sum(distinct distance)
avg(distinct distance)
sum(distance) / count(*)
sum(distance * 2 + 1)
min(carrier)
max(day)
min(distinct distance)
bitstring_agg(flight, 1, 100)
arg_max(carrier, distance, 2)
arg_min_null(carrier, distance)
histogram(distance, [1,2])
max(carrier, 2)
round(avg(distance), 2)
avg(price)
sum(u)
percentile_cont(0.5) within group (order by distance)
percentile_disc(0.5) within group (order by distance desc)
mode() within group (order by carrier)
upper(carrier)
lower(carrier)
carrier || '-' || dest
concat(carrier, dest)
concat_ws('-', carrier, dest)
distance / 2
distance // 2
flight % 7
mod(flight, 7)
-distance
+distance
- -distance
distance ** 2
distance ^ 2
pow(distance, 2)
distance & 1
distance | 1
xor(flight, 1)
distance << 1
~distance
case when distance > 5 then 'a' else 'b' end
case when distance > 5 then 'a' end
case carrier when 'UA' then 1 when 'AA' then 2 else 3 end
dep_delay between 1 and 2
dep_delay not between 1 and 2
carrier in ('UA','AA')
carrier not in ('UA','AA')
carrier like 'U%'
carrier not like 'U%'
carrier ilike 'u_'
carrier not ilike 'u_'
carrier like 'a$%' escape '$'
carrier glob 'U*'
carrier similar to 'U.'
carrier ~ 'U.'
regexp_matches(carrier, 'U')
regexp_replace(carrier, 'U', 'X', 'g')
regexp_extract(carrier, '(U)', 1)
coalesce(tail,'')
ifnull(tail,'')
nullif(carrier,'UA')
if(cancelled, 1, 2)
greatest(distance, 5)
least(distance, flight)
cast(distance as varchar)
try_cast(carrier as int)
distance::double
carrier::date
cast(distance as decimal(12,3))
cast(carrier as timestamp)
day + interval 3 day
day - interval '1' month
day + 3
day - day
ts - ts
day + interval (flight) day
ts + interval '1 day 2 hours'
extract(year from day)
extract(epoch from ts)
date_part('year', day)
year(day)
month(day)
dayofweek(day)
date_diff('day', day, date '2020-01-01')
datediff('day', day, date '2020-01-01')
date_add(day, interval 1 day)
date '2020-01-01'
timestamp '2020-01-01 00:00:00'
time '10:00:00'
strftime(day, '%Y')
strptime(carrier, '%Y')
make_date(2020,1,1)
epoch(ts)
epoch_ms(ts)
last_day(day)
dayname(day)
time_bucket(interval 1 hour, ts)
ts at time zone 'UTC'
substring(carrier from 1 for 1)
substring(carrier, 1, 1)
substr(carrier, 2)
carrier[1]
carrier[1:2]
left(carrier, 1)
right(carrier, 1)
length(carrier)
len(carrier)
strlen(carrier)
position('U' in carrier)
strpos(carrier, 'U')
instr(carrier, 'U')
trim(carrier)
trim(both 'x' from carrier)
ltrim(carrier)
rtrim(carrier, 'x')
lpad(carrier, 5, ' ')
rpad(carrier, 5, ' ')
replace(carrier, 'U', 'X')
reverse(carrier)
repeat(carrier, 2)
split_part(carrier, '-', 1)
string_split(carrier, '-')
starts_with(carrier, 'U')
ends_with(carrier, 'U')
prefix(carrier, 'U')
contains(carrier, 'U')
carrier ^@ 'U'
printf('%s', carrier)
format('{}', carrier)
md5(carrier)
sha256(carrier)
hash(carrier)
hex(carrier)
encode(carrier)
decode(raw)
octet_length(raw)
abs(distance)
ceil(dep_delay)
floor(dep_delay)
round(dep_delay)
round(dep_delay, 1)
trunc(dep_delay)
sqrt(distance)
exp(dep_delay)
ln(distance)
log(distance)
log2(distance)
log(2, distance)
sign(distance)
pi()
degrees(1)
sin(distance)
atan2(1,2)
not cancelled
cancelled is true
cancelled is not true
cancelled is null
tail is not null
tail isnull
tail is distinct from 'x'
tail is not distinct from 'x'
cancelled and distance > 5 or carrier = 'UA'
not (cancelled and distance > 5)
not carrier = 'UA'
distance != 5
distance <> 5
(distance > 5) = true
[1,2,3]
[1,2][1]
[carrier, dest]
{'a':1, 'b': carrier}
{'a':1}.a
struct_pack(a := 1)
(carrier, dest)
(carrier, dest) = ('a','b')
row(carrier, dest)
map {'a': 1}
list_contains(['UA'], carrier)
list_transform([1,2], lambda x: x + flight)
[x + 1 for x in [1,2]]
list_sort([2,1])
list_sum([1,2])
json_extract(tail, '$.a')
tail -> '$.a'
tail ->> '$.a'
tail::json
to_json({'a':1})
json_extract_string(tail, '$.a')
x'00'
'\x00'::blob
'it''s'
e'a\nb'
$$dollar$$
1e3
1.50
.5
99999999999999999999
170141183460469231731687303715884105728
true
null
null::int
id = '7af7e4df-74e4-4b5c-8d9d-692fe00866ea'
id::varchar
uuid '7af7e4df-74e4-4b5c-8d9d-692fe00866ea'
typeof(distance)
price * 2
price / 3
price::int
u + 1
u + 300
u * u
carrier collate nocase = 'ua'
carrier < dest
day > '2020-01-01'
ts < '2021-01-01'
day = ts
hour(ts)
try(carrier::int)
isnan(dep_delay)
isfinite(dep_delay)
bit_count(flight)
chr(65)
ascii(carrier)
unicode(carrier)
translate(carrier, 'U', 'X')
levenshtein(carrier, dest)
jaccard(carrier, dest)
url_encode(carrier)
base64(raw)
raw || raw
range(3)
generate_series(1,3)
array_length([1])
distance is null or distance = 0
100 * sum(cancelled::int) / count(*)
sum(case when cancelled then 1 else 0 end)
avg(dep_delay) filter (where dep_delay > 0)
count(*) filter (distance > 5)
cast(avg(dep_delay) as decimal(10,2))
max(distance) - min(distance)
coalesce(sum(distance), 0)
age(ts, ts)
list_aggregate([1,2], 'sum')
carrier::varchar(3)
distance::int64
cast(distance as real)
cast(carrier as json)
interval 3 day
interval '3' hours
cancelled::int
date_trunc('hour', ts)
flight in (1,2,3)
flight not in (1, null)
carrier in (dest, 'x')
carrier between 'A' and 'B'
distance::varchar || 'x'
nullif(distance,0)
date_sub('day', day, day)
equi_width_bins(1,2,3,true)
bar(distance, 1, 2)
list_value(1,2)
array_slice([1,2],1,1)
ilike_escape(carrier,'a','$')
sum(distance) + 1 > 5
sum(dep_delay::decimal(10,2))
quantile_cont(day, 0.5)
json_group_array(carrier)
wavg(distance, flight)
