"""Text → bound query: parse (lark, sqlglot), then DuckDB binds names and types. Knows nothing of Redis."""
