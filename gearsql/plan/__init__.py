"""Bound query → gears plan: stages as plain data, the split, EXPLAIN."""
