"""Fuzzers of what reads bytes of others: `python -m tests.fuzz`. Slow; see CONTRIBUTING.md."""
