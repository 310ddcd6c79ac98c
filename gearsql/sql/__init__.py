"""Text → bound query. Knows nothing of Redis.

parse.py      text → statement: lark for our own statements, DuckDB's own parser for queries
shape.py      closed lists of what a query may be; functions.py: what it may call
bind.py       query + table + parameters → BoundQuery: DuckDB binds names and types
hooks.py      users' functions, looked up by their calls (calls.py), bound as stubs (stubs.py)
sources.py    FROM: a table, and users' table functions that make rows of its rows
normalise.py  references written out; trees.py: as sqlglot's tree, which the split rules edit
plans.py      the bound plan: two texts mean the same only if their plans are equal
"""
