-- PIVOTs whose columns are in the data, and samples whose answers are no matter of luck.

PIVOT sales ON item USING sum(n) GROUP BY shop ORDER BY shop

PIVOT sales ON item USING sum(n)

PIVOT sales ON item, shop USING count(*) GROUP BY paid

PIVOT sales ON item IN ('b'), shop USING count(*)

PIVOT sales ON shop, item IN ('a', 'b') USING sum(n) AS s, max(n) AS m GROUP BY paid

PIVOT_WIDER sales ON item || '-' || shop USING sum(n), min(n) GROUP BY paid LIMIT 5

PIVOT sales ON (item, shop) USING count(*) GROUP BY paid

PIVOT sales ON CASE WHEN item IN ('a') THEN 'one' ELSE 'other' END USING count(*) GROUP BY shop

PIVOT (SELECT shop, n FROM sales WHERE n > 2) ON shop

FROM (PIVOT sales ON item USING sum(n) GROUP BY shop) AS p WHERE p.a > 1

WITH big AS (SELECT * FROM sales WHERE n > 1) PIVOT big ON item USING sum(n) GROUP BY shop

WITH big AS (SELECT * FROM sales WHERE n > 1), wide AS (PIVOT big ON shop USING sum(n) GROUP BY item) SELECT count(*), sum("1") FROM wide

WITH p AS (PIVOT sales ON item USING sum(n) GROUP BY shop) SELECT * FROM (PIVOT p ON shop USING count(*)) q

PIVOT (PIVOT sales ON shop USING sum(n) GROUP BY id) ON id USING count(*)

(PIVOT sales ON shop USING sum(n) GROUP BY item) UNION ALL (PIVOT sales ON shop USING max(n) GROUP BY item) ORDER BY ALL

SELECT count(*) FROM (PIVOT sales ON item USING sum(n)) JOIN shops USING (shop)

PIVOT (FROM sales WHERE n > 100) ON item USING sum(n), max(n) AS m GROUP BY shop

PIVOT (SELECT * REPLACE (NULL::VARCHAR AS item) FROM sales) ON item USING sum(n) GROUP BY shop ORDER BY shop

PIVOT (SELECT * REPLACE (NULL::VARCHAR AS item) FROM sales) ON item, shop USING sum(n) GROUP BY paid

SELECT * FROM sales TABLESAMPLE 100%

SELECT * FROM sales TABLESAMPLE 0% WHERE n > 0

SELECT shop, sum(n) FROM sales AS s TABLESAMPLE bernoulli(100%) GROUP BY shop

SELECT count(*) FROM sales USING SAMPLE 3

SELECT count(*) FROM (FROM sales TABLESAMPLE 2 ROWS) WHERE id >= 0

SELECT count(*) FROM sales WHERE id >= 0 USING SAMPLE reservoir(4 ROWS)

SELECT count(*) FROM sales, shops USING SAMPLE 5

SELECT count(*) FROM sales JOIN (FROM shops TABLESAMPLE 100 ROWS) USING (shop)

SELECT shop FROM shops WHERE EXISTS (FROM sales TABLESAMPLE 100% WHERE sales.shop = shops.shop)

WITH drawn AS (FROM sales USING SAMPLE 2) SELECT count(*), (SELECT count(*) FROM sales TABLESAMPLE 4 ROWS) FROM drawn
