"""Holds the server module after a build: a shared library that servers load; nothing to import."""
