SELECT initial(s) AS i, count(*) FROM zoo GROUP BY i

SELECT n, initial(g), initial(upper(s)), initial(initial(s)) FROM zoo WHERE initial(g) <> 'z' OR length_or(s, 3) = 3

SELECT length_or(s, n), length_or(NULL, h), length_or(g, NULL) FROM zoo

SELECT n FROM zoo WHERE length_or(s, 7) BETWEEN 3 AND 7 ORDER BY halved(n) DESC, n LIMIT 17 OFFSET 3

SELECT upper(initial(s)), length_or(initial(s), count(*)) AS v, sum(b::HUGEINT) FROM zoo GROUP BY initial(s)

SELECT g, count(*) FROM zoo GROUP BY g HAVING halved(sum(h)) > 1

SELECT g, halved(sum(h)) AS half FROM zoo GROUP BY g ORDER BY halved(count(*)), g

SELECT sum(halved(c)), avg(halved(h)), max(initial(s)), count(DISTINCT initial(s)) FROM zoo

SELECT h, count(DISTINCT initial(s)), list(DISTINCT initial(s) ORDER BY initial(s)) FROM zoo GROUP BY h

SELECT sum(h) FILTER (WHERE initial(s) = '0'), count(*) FROM zoo

SELECT h, entropy(length_or(g, 0)), entropy(h) FROM zoo WHERE initial(s) <> '' GROUP BY h

SELECT DISTINCT initial(s), halved(h) FROM zoo

SELECT shout(g), shout(s) FROM zoo WHERE shout(g) = 'ZOË' OR shout(s) LIKE 'N%'

SELECT n, cents(c), tomorrow(day) FROM zoo WHERE day < '9999-01-01'

SELECT max(cents(c)), min(tomorrow(day)) FROM zoo WHERE day < '9999-01-01'

SELECT pair(h, g), count(*) FROM zoo GROUP BY pair(h, g)

SELECT pair(b, s).s AS s, pair(b, s).a AS a FROM zoo

SELECT same_list([b, h, NULL]), same_list([]), same_nested({'b': b, 's': [s, g, NULL]}) FROM zoo

SELECT initial(_key), one(), one() + h FROM zoo WHERE n < 9

SELECT initial('constant'), count(*) FROM zoo GROUP BY 1

SELECT length(same_big(big)), count(*) FROM zoo GROUP BY 1

SELECT count(*) FROM zoo WHERE n < 0 AND initial(s) = 's'

SELECT number(n), number(h) FROM zoo WHERE h > 0

SELECT number(h) AS k, count(*) FROM zoo WHERE initial(s) = '0' GROUP BY k

SELECT geometric(h) AS v, geometric(x * 2) + 1 AS w FROM zoo

SELECT g, geometric(h) AS v, count(*), avg(x) FROM zoo GROUP BY g

SELECT initial(s) AS i, geometric(halved(h)) AS v, weighed(x, h) AS w FROM zoo GROUP BY i

SELECT geometric(h) AS v, weighed(h, n) AS w FROM zoo WHERE n < 0

SELECT g, geometric(h) AS v FROM zoo WHERE n < 0 GROUP BY g

SELECT g, geometric(h) FILTER (WHERE f) AS v, weighed(x, h) FILTER (WHERE h > 0) AS w FROM zoo GROUP BY g

SELECT geometric(h) FILTER (WHERE n < 0) AS v, count(*) FROM zoo

SELECT g, geometric(DISTINCT h) AS v FROM zoo GROUP BY g

SELECT ti, count(DISTINCT s), geometric(x) AS v, count(DISTINCT h), geometric(DISTINCT h) AS w FROM zoo GROUP BY ti

SELECT geometric(DISTINCT h) FILTER (WHERE f) AS v, weighed(DISTINCT h, si) AS w FROM zoo

SELECT joined(g ORDER BY n) AS v FROM zoo WHERE n < 500

SELECT h, joined(DISTINCT initial(s) ORDER BY initial(s)) AS v FROM zoo GROUP BY h

SELECT g FROM zoo GROUP BY g HAVING geometric(h) > 0.5

SELECT halved(geometric(h)) AS v, round(geometric(h), 3) AS w, entropy(h) FROM zoo

SELECT n, letters.* FROM zoo, letters(zoo.s)

SELECT l.letter, z.n FROM zoo z, LATERAL letters(s) AS l WHERE l.id = 1

SELECT place, count(*) FROM zoo JOIN LATERAL letters(s) AS l(place) ON true GROUP BY place

SELECT letter, count(*), geometric(h) AS v, count(DISTINCT g) FROM zoo, letters(s) GROUP BY letter

SELECT x.letter, y.letter, count(*) FROM zoo, letters(s) x, letters(x.letter) y GROUP BY ALL

SELECT n, letter FROM zoo LEFT JOIN letters(s) ON true WHERE letter IS NULL OR letter = 'N'

SELECT entropy(letter), count(*) FROM zoo, letters(s) AS l(place) WHERE place < 2

SELECT words, len(words), n FROM zoo, parts(s)

SELECT count(*) FROM zoo, letters('abc')

SELECT n, place FROM zoo, letters(s) AS l(place) ORDER BY n DESC, place LIMIT 7

-- with: ["b-c", 2]
SELECT letter, count(*) FROM zoo, letters(? || g) AS l(place) WHERE length_or(g, ?) > 1 GROUP BY letter

SELECT INITIAL(_key), letter, count(*) FROM zoo z, Letters(z._key) WHERE "initial"(z._key) = 'z' GROUP BY ALL
