"""The module's own health: its C under sanitizers and valgrind. Slow; see CONTRIBUTING.md."""
