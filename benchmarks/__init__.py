"""GearsSQL beside its peers on the same rows (benchmarks.run), and its memory (benchmarks.memory)."""
