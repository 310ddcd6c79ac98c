"""What many queries and many signals leave behind; `python -m benchmarks.soak`."""
